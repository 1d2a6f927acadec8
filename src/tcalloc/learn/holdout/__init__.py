"""What held-out questions say: folds, calibration, certificates and their intervals."""
