"""The records behind a schedule, as a person and a script read them."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from autosched.cost.model import CostModel
from autosched.report import words
from autosched.report.layer_rows import describe
from autosched.report.output import say
from autosched.report.tables import simple_table
from autosched.schedule.outcomes import AloneTime, ProbeOutcome, Rejection
from autosched.schedule.serialization import to_plain
from autosched.verification.records import StoredAnswer, TracedStep


def print_records(
    console: Console, steps: Sequence[TracedStep], trial: int | None, cost: CostModel | None
) -> None:
    """Print the rows behind each layer and change of layout of a trial's schedule."""
    say(console)
    say(console, f"Records behind trial {trial}, each of a layer or reshard alone", "bold")
    table = simple_table("", ("layer or edge", "record", "stored", "of", "says"))
    for step in steps:
        configuration = "" if step.config is None else f" ({describe(step.config)})"
        place = f"{step.place}{configuration}"
        if not step.records:
            table.add_row(place, "-", "", "", "nothing asked of it alone")
        for number, record in enumerate(step.records):
            table.add_row(
                "" if number else place,
                f"{record.table} {record.number}",
                f"{record.stored_at:%Y-%m-%d %H:%M}",
                record.site,
                f"{answer_words(record, cost)}{', stale' if record.is_stale else ''}",
            )
    console.print(table)
    lone = sum(not step.records for step in steps)
    said = f"; {words.count(lone, 'step')} without any" if lone else ""
    say(console, f"{words.count(sum(len(step.records) for step in steps), 'record')}{said}.")


def answer_words(record: StoredAnswer, cost: CostModel | None) -> str:
    """Return what a record says in few words: a time with its kind, a verdict, or a rejection."""
    answer = record.answer
    if isinstance(answer, Rejection):
        return words.rejection(answer)
    if isinstance(answer, AloneTime):
        return f"{answer.time_us:,.1f} {words.MICRO} measured"
    if isinstance(answer, ProbeOutcome):
        time_us, kind = _probe_time(answer, cost)
        return "ran" if time_us is None else f"{time_us:,.1f} {words.MICRO} {kind}"
    return answer


def _probe_time(answer: ProbeOutcome, cost: CostModel | None) -> tuple[float | None, str | None]:
    if answer.time_us is not None:
        return answer.time_us, "measured"
    if cost is None:
        return None, None
    return sum(op.time_ns or 0.0 for op in cost.estimate(answer.ops)) / 1e3, "estimated"


def records_plain(steps: Sequence[TracedStep], cost: CostModel | None) -> list[dict[str, Any]]:
    """Return the same as JSON types."""
    return [
        {
            "place": step.place,
            "configuration": None if step.config is None else to_plain(step.config),
            "records": [_record_plain(record, cost) for record in step.records],
        }
        for step in steps
    ]


def _record_plain(record: StoredAnswer, cost: CostModel | None) -> dict[str, Any]:
    answer, time_us, kind = record.answer, None, None
    if isinstance(answer, ProbeOutcome):
        time_us, kind = _probe_time(answer, cost)
    elif isinstance(answer, AloneTime):
        time_us, kind = answer.time_us, "measured"
    return {
        "table": record.table,
        "number": record.number,
        "stored_at": record.stored_at.isoformat(),
        "site": record.site,
        "revision": record.revision,
        "stale": record.is_stale,
        "says": answer_words(record, cost),
        "time_us": time_us,
        "time_kind": kind,
    }
