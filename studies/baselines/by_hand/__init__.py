"""Schedules with the choices of public hand-tuned models: one module a model, with its facts."""
