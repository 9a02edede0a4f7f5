"""Evaluation of trained networks: accuracy, calibration, confusion, robustness."""
