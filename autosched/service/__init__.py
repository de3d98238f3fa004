"""One web service: studies are submitted to it, wait their turn, and are watched."""
