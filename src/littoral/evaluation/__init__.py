"""Predictions -> figures. NumPy in, NumPy out; needs no torch."""
