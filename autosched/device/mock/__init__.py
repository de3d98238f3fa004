"""Files and environment that make ttnn open its mock device."""
