"""From a user's file to a network: load, export, define, lower, compare; weights if untrained."""
