"""Logs of other tools as run folders: one reader per format."""
