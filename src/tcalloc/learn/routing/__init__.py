"""Policies that decide before sampling, and the baselines that they are compared with."""
