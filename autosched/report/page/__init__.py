"""A study as one page, complete in itself."""
