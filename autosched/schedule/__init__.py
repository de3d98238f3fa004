"""The words that all rooms share: how tensors lie, what is chosen, what a device answers."""
