"""What a comparison says: headline, recommendation, and what would make it surer."""
