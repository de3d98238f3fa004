"""What is known of kinds of candidates: executed right, or known to be wrong."""
