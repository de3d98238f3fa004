"""A ttnn program that somebody wrote by hand: its device ops, and the schedule that is in it."""
