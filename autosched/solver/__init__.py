"""The exact joint optimum over integers, with a proven bound."""
