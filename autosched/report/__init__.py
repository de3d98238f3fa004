"""How a person sees it: tables, plots and profiler-style files."""
