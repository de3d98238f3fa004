"""A script for a bug report: the calls of one layer, as they were made."""
