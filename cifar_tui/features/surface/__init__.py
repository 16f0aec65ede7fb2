"""Slices of loss surfaces (Li et al. 2018)."""
