"""From a user's file to a network: load, export, lower, fold and fuse; weights if untrained."""
