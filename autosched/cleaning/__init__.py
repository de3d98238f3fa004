"""What of caches and records is of no use any more."""
