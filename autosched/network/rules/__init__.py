"""How each PyTorch operator becomes layers: a file a family."""
