"""Profiler reports of real cards, read and written."""
