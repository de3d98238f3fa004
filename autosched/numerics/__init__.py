"""What a result is worth beside the truth."""
