"""What a person types: commands as thin functions over the library."""
