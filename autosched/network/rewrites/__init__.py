"""What layers take over from each other: folded, fused and joined, exactly or but for rounding."""
