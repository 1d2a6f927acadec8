"""Policies on recorded samples: drawn one by one, or all orders at once."""
