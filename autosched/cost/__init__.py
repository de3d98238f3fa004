"""How long a device op takes when no device can time it."""
