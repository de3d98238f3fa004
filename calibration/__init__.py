"""Derives the observations that the shipped coefficients are made from."""
