"""autosched: a search-based auto-scheduler for convolutional networks on Tenstorrent hardware."""
