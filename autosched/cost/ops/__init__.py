"""Device ops and the formulas of their time: a file a family."""
