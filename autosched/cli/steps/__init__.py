"""What the long commands do, step by step."""
