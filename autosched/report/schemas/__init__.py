"""What each command writes with ``--json``: a JSON Schema a command, and the page that says it."""
