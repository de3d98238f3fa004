"""What a shell and a file add to what a person types: completion, and defaults of options."""
