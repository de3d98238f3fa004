"""What is to be scheduled: a PyTorch network as layers and edges."""
