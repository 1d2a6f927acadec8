"""Replay of policies on recorded samples: one by one, or all orders at once."""
