"""How a schedule leaves autosched, and how it comes back."""

__all__ = [
    "check_provenance",
    "load_schedule",
    "parse_json",
    "render_json",
    "render_schedule",
    "save_schedule",
    "validate_schedule",
]
