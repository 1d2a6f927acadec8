"""Samples on disk: the run folder, its records and its lock."""
