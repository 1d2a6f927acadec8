"""Models that predict the rows of a table from features."""
