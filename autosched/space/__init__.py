"""What may be chosen for a layer."""
