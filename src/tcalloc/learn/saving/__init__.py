"""Policies as folders, without pickle."""
