"""Fixed shallow branches: features computed by a formula, with nothing to learn. One file each.

They see well from the first image on, which a learned branch with few labels does not.
"""
