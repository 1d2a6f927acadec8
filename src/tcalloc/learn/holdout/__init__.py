"""Measurements on held-out questions: folds, calibration, certificates and their intervals."""
