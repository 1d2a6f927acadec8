"""Speed: what is timed side by side, and whether its answers are right (pytest)."""
