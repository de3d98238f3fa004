"""What a schedule's layers and reshards compute alone, and how that is reported elsewhere."""
