"""Optuna samplers that propose joint choices."""
