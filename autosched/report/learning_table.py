"""What was learned from a card, and what that changes of a schedule."""

from typing import Any

from rich.console import Console

from autosched.learning.session import ChangedLayer, Lesson, Took, median_error
from autosched.learning.timetable import Piece
from autosched.report import words
from autosched.report.layer_rows import describe, describe_change
from autosched.report.output import say
from autosched.report.tables import simple_table
from autosched.schedule.outcomes import AloneTime, Rejection, TimeKind


def answer_line(piece: Piece, estimated_us: float, answer: AloneTime | Rejection) -> str:
    """Return "conv1 (height): 12.3 µs (measured), 15.0 estimated", or why there is no time."""
    if isinstance(piece.what, tuple):
        label = f"a tensor ({describe_change(*piece.what)})"
    else:
        label = f"{piece.layer} ({describe(piece.what)})"
    if isinstance(answer, Rejection):
        return f"{label}: rejected, {words.rejection(answer)}"
    measured = words.latency(answer.time_us, TimeKind.MEASURED)
    return f"{label}: {measured}, {words.microseconds(estimated_us)} estimated"


def print_lesson(console: Console, lesson: Lesson) -> None:
    """Print what was asked, how well it is known now, and which layers change."""
    known = f", {lesson.known:,} known before" if lesson.known else ""
    rejected = f", {lesson.rejected:,} of them rejected" if lesson.rejected else ""
    say(
        console,
        f"Timed: {words.count(lesson.taken, 'new time')}{known}{rejected}; {lesson.ended.value}",
    )
    before, now = (words.share(median_error(errors)) for errors in lesson.errors_log)
    say(
        console, f"Error of the estimates of these times, median: {before} before, {now} as learned"
    )
    losses = [words.share(loss) for loss in _losses(lesson)]
    say(
        console,
        f"Expected to be lost by not knowing better: {losses[0]} of the schedule's time before, "
        f"{losses[1]} now (by the model's errors)",
    )
    say(console, f"Schedule of before: {_took(lesson.thought)} by the model of before")
    say(console, f"                    {_took(lesson.before)} by what was learned")
    if not lesson.changed and not lesson.conversions_changed:
        say(console, "It stays: by what was learned it is the best of the candidates, too")
        return
    say(console, f"Schedule of now:    {_took(lesson.after)} by what was learned")
    chance = words.probability(lesson.probability_faster)
    say(console, f"  faster with probability {chance}, by the model's errors")
    if lesson.changed:
        console.print(_table(lesson))
    else:
        say(console, "Layers are configured as before; tensors are moved otherwise")


def _table(lesson: Lesson) -> Any:
    numbers = (f"thought {words.MICRO}", f"before {words.MICRO}", f"now {words.MICRO}")
    table = simple_table("", ("layer", "before", "now", *numbers), right=numbers)
    for layer in lesson.changed:
        table.add_row(
            layer.name,
            describe(layer.was.config),
            describe(layer.now.config),
            _alone(layer.thought, TimeKind.ESTIMATED),
            _alone(layer.was_takes, layer.was_kind),
            _alone(layer.now_takes, layer.now_kind),
        )
    return table


def _alone(took: Took, kind: TimeKind) -> str:
    return f"{took.time_us:,.1f} ± {took.error_us:,.1f} {kind}"


def _took(took: Took) -> str:
    return words.latency(took.time_us, TimeKind.ESTIMATED, took.error_us)


def _losses(lesson: Lesson) -> tuple[float, float]:
    before_us, now_us = lesson.expected_loss_us
    return before_us / lesson.thought.time_us, now_us / lesson.after.time_us


def lesson_plain(lesson: Lesson) -> dict[str, Any]:
    """Return a lesson as JSON types."""
    before, now = map(median_error, lesson.errors_log)
    losses = _losses(lesson)
    return {
        "version": lesson.coefficients.version,
        "taken": lesson.taken,
        "known": lesson.known,
        "rejected": lesson.rejected,
        "ended": lesson.ended.value,
        "median_error": {"before": before, "learned": now},
        "expected_loss": {"before": losses[0], "learned": losses[1]},
        "schedule_of_before": {
            "thought": _plain_took(lesson.thought, TimeKind.ESTIMATED),
            "learned": _plain_took(lesson.before, TimeKind.ESTIMATED),
        },
        "schedule_of_now": {"learned": _plain_took(lesson.after, TimeKind.ESTIMATED)},
        "probability_faster": lesson.probability_faster,
        "conversions_changed": lesson.conversions_changed,
        "changed": [_plain_layer(layer) for layer in lesson.changed],
    }


def _plain_took(took: Took, kind: TimeKind) -> dict[str, Any]:
    return {"time_us": took.time_us, "error_us": took.error_us, "kind": kind.value}


def _plain_layer(layer: ChangedLayer) -> dict[str, Any]:
    return {
        "layer": layer.name,
        "before": describe(layer.was.config),
        "now": describe(layer.now.config),
        "before_thought": _plain_took(layer.thought, TimeKind.ESTIMATED),
        "before_learned": _plain_took(layer.was_takes, layer.was_kind),
        "now_learned": _plain_took(layer.now_takes, layer.now_kind),
    }
