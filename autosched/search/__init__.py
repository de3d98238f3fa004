"""Which schedule to try next, and how good it can get."""
