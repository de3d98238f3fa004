"""What the search is compared with, on how many networks, and how fast all of it is."""
