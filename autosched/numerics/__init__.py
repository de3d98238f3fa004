"""What a result is worth beside the truth, and the device's numbers emulated on the host."""
