"""Policies that decide before anything is drawn, and what they are compared with."""
