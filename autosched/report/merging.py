"""What a merge of two databases came to."""

from dataclasses import asdict
from typing import Any

from rich.console import Console

from autosched.report import words
from autosched.report.console import say
from autosched.store.merging import Merged, MergedStudy, Tally


def print_merged(console: Console, source: str, target: str, merged: Merged) -> None:
    """Print what came from ``source`` into ``target``, and what was there already."""
    say(console, f"From:   {source}")
    say(console, f"Into:   {target}")
    say(console, f"Probes: {_tally(merged.probes)}")
    if merged.calibrations.added or merged.calibrations.known:
        say(console, f"Calibrations: {_tally(merged.calibrations)}")
    if merged.calibrations.added:
        say(
            console, "  new studies are estimated with the newest calibration of their board's kind"
        )
    for study in merged.studies:
        say(console, f"Study {study.name}: {_study(study)}")


def merged_plain(source: str, target: str, merged: Merged) -> dict[str, Any]:
    """Return a merge as JSON types."""
    return {"from": source, "into": target, **asdict(merged)}


def _tally(tally: Tally) -> str:
    return f"{tally.added:,} added, {tally.known:,} here already"


def _study(study: MergedStudy) -> str:
    trials = words.count(study.trials.added, "trial")
    if not study.is_new:
        here = f" as {study.name_here}" if study.name_here != study.name else ""
        return f"here already{here}; {trials} added, {study.trials.known:,} here already"
    if study.name_here != study.name:
        return f"added as {study.name_here} with {trials}, because another study here has that name"
    return f"added with {trials}"
