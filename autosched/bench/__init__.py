"""What the search is compared with: schedules made by rules that never look at a time."""
