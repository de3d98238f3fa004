"""Fits the coefficients to profiles, and judges them on layers held out."""
