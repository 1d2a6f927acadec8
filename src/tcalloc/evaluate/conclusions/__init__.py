"""What a comparison says: headline, recommendation, and what would settle more."""
