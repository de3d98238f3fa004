"""Asks the device what each layer can do, and makes tables, joint problem and bound of it."""
