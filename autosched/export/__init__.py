"""How a schedule leaves autosched, and how it comes back."""

from autosched.export.config_module import render_schedule
from autosched.export.json_form import parse_json, render_json
from autosched.export.loading import load_schedule
from autosched.export.saving import save_schedule
from autosched.export.validation import check_provenance, validate_schedule

__all__ = [
    "check_provenance",
    "load_schedule",
    "parse_json",
    "render_json",
    "render_schedule",
    "save_schedule",
    "validate_schedule",
]
