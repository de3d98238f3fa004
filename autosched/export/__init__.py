"""How a schedule leaves autosched, and how it comes back."""
