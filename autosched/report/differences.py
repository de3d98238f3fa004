"""What differs between two schedules, layer by layer, and what it costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich.console import Console

from autosched.errors import ScheduleError
from autosched.probing.drift import Answered, Drift, Drifted, Went
from autosched.report import words
from autosched.report.layer_rows import ReshardRow, describe, layer_rows, reshard_rows
from autosched.report.output import say
from autosched.report.tables import simple_table
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import DeviceOp, TimeKind
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import to_plain

# What is less is rounding in the tables.
_NOTICED_US = 0.05


@dataclass(frozen=True)
class Compared:
    """One of two schedules; ``ops`` are those of the trial that ran it, none if nobody knows one.

    ``latency_us`` is the trial's, of ``kind`` and by ``cost_model`` where it was estimated.
    """

    title: str
    schedule: Schedule
    ops: tuple[DeviceOp, ...] = ()
    latency_us: float | None = None
    kind: TimeKind | None = None
    cost_model: str = ""

    def to_plain(self) -> dict[str, Any]:
        """Return where it comes from, and how long it takes, as JSON types."""
        return {
            "title": self.title,
            **self.origin,
            "latency_us": self.latency_us,
            "latency_kind": self.kind and self.kind.value,
        }

    @property
    def origin(self) -> dict[str, Any]:
        """What a schedule and its times rest on."""
        made = self.schedule.provenance
        return {
            "network": made.network,
            "batch": made.batch,
            "board": made.board,
            "ttnn_version": made.ttnn_version,
            "cost_model": self.cost_model,
        }


@dataclass(frozen=True)
class Change:
    """A layer, or a change of layout between two, on both sides; times in microseconds.

    ``change`` is "" where both have the same configuration; a side that lacks it has no ``before``,
    or no ``after``.
    """

    name: str
    before: str | None
    after: str | None
    change: str
    before_us: float | None
    after_us: float | None

    @property
    def difference_us(self) -> float | None:
        """How much longer it takes afterwards; what a side lacks takes no time there."""
        before = 0.0 if self.before is None else self.before_us
        after = 0.0 if self.after is None else self.after_us
        return None if before is None or after is None else after - before

    @property
    def is_noticed(self) -> bool:
        """Whether anything differs that is worth a row."""
        return bool(self.change) or abs(self.difference_us or 0.0) >= _NOTICED_US

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {**asdict(self), "difference_us": self.difference_us}


@dataclass(frozen=True)
class Differences:
    """All that differs between two schedules of one network."""

    before: Compared
    after: Compared
    layers: tuple[Change, ...]
    edges: tuple[Change, ...]

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "before": self.before.to_plain(),
            "after": self.after.to_plain(),
            "layers": [item.to_plain() for item in self.layers],
            "edges": [item.to_plain() for item in self.edges],
        }


def differences_of(before: Compared, after: Compared) -> Differences:
    """Return what differs, in execution order.

    Raises:
        ScheduleError: if the schedules have no layer in common.
    """
    if not before.schedule.layers.keys() & after.schedule.layers.keys():
        raise ScheduleError(
            f"{before.title} and {after.title} have no layer in common: they are of "
            f"{before.schedule.provenance.network} and {after.schedule.provenance.network}"
        )
    return Differences(before, after, tuple(_layers(before, after)), tuple(_edges(before, after)))


def _layers(before: Compared, after: Compared) -> Iterator[Change]:
    times = [_times(side) for side in (before, after)]
    for name in _together(list(before.schedule.layers), list(after.schedule.layers)):
        first, second = (side.schedule.layers.get(name) for side in (before, after))
        yield Change(
            name,
            None if first is None else describe(first),
            None if second is None else describe(second),
            _changed(first, second),
            *(known.get(name) for known in times),
        )


def _times(side: Compared) -> dict[str, float | None]:
    return {row.layer: row.time_us for row in layer_rows(side.schedule, side.ops, side.kind)}


def _together(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return the names of both in order; what the first lacks follows what it follows there."""
    found = list(first)
    place = 0
    for name in second:
        if name in first:
            place = found.index(name) + 1
        else:
            found.insert(place, name)
            place += 1
    return found


def _changed(first: LayerConfig | None, second: LayerConfig | None) -> str:
    """Return which fields differ, such as "act_block_h_override 64 -> 128"."""
    if first is None or second is None:
        return "added" if first is None else "gone"
    if type(first) is not type(second):
        return f"{describe(first)} -> {describe(second)}"
    one, other = (dict(flat_fields(to_plain(item))) for item in (first, second))
    named = dict.fromkeys([*one, *other])
    parts = (
        f"{name.rpartition('.')[2]} {field_word(one.get(name))} -> {field_word(other.get(name))}"
        for name in named
        if one.get(name) != other.get(name)
    )
    return ", ".join(parts)


def flat_fields(plain: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the fields of a configuration as JSON types, inner ones as "outer.inner"."""
    for name, value in plain.items():
        if isinstance(value, Mapping):
            yield from flat_fields(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def field_word(value: Any) -> str:
    """Return a field's value, in JSON types, as a person reads it: never nothing."""
    if value in (None, "") or value == []:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return "+".join(map(_range, value)) if isinstance(value[0], dict) else _size(value)
    return str(value)


def _range(corners: Mapping[str, int]) -> str:
    return "({x0},{y0})-({x1},{y1})".format_map(corners)


def _size(numbers: Sequence[object]) -> str:
    return "x".join(map(str, numbers))


def _edges(before: Compared, after: Compared) -> Iterator[Change]:
    one, other = map(_reshards, (before, after))
    for name in _together(list(one), list(other)):
        first, first_us = one.get(name, (None, None))
        second, second_us = other.get(name, (None, None))
        yield Change(name, first, second, _replaced(first, second), first_us, second_us)


def _replaced(first: str | None, second: str | None) -> str:
    """Return what became of a change of layout, which has arrows of its own."""
    if first == second:
        return ""
    if first is None or second is None:
        return f"gone: {first}" if second is None else f"new: {second}"
    return f"{first}, now {second}"


def _reshards(side: Compared) -> dict[str, tuple[str, float | None]]:
    """Return what a schedule's tensors are brought into between layers, and how long it takes."""
    if not side.ops:
        return {
            f"{edge.producer} -> {edge.consumer}": (str(layout), None)
            for edge, layout in side.schedule.reshards.items()
        }

    def label(row: ReshardRow) -> str:
        return f"{row.producer or '(ttnn)'} -> {row.consumer or '(ttnn)'}"

    rows = sorted(reshard_rows(side.schedule, side.ops, side.kind), key=label)
    found = {}
    for name, group in groupby(rows, key=label):
        own = list(group)
        times = [row.time_us for row in own]
        known = [time for time in times if time is not None]
        time_us = sum(known) if len(known) == len(times) else None
        found[name] = ("; ".join(row.change for row in own), time_us)
    return found


def print_differences(console: Console, found: Differences, *, everything: bool) -> None:
    """Print what differs, or with ``everything`` all layers and edges."""
    before, after = found.before, found.after
    for side, title in ((before, "A"), (after, "B")):
        say(console, f"{title}: {side.title}, {_time(side)}")
    for name, value in before.origin.items():
        other = after.origin[name]
        if value != other:
            field = name.replace("_", " ")
            say(console, f"  {field}: {value or 'none'} -> {other or 'none'}", "yellow")
    for title, changes in (("Layers", found.layers), ("Changes of layout", found.edges)):
        shown = [item for item in changes if everything or item.is_noticed]
        say(console)
        if not shown:
            say(console, f"{title}: no difference")
            continue
        left_out = len(changes) - len(shown)
        alike = f", {left_out} more alike" if left_out else ""
        say(console, f"{title} (A -> B{alike})")
        console.print(_table(shown))
    _print_sum(console, found)


def _table(changes: Sequence[Change]) -> Any:
    numbers = (f"A {words.MICRO}", f"B {words.MICRO}", f"B - A {words.MICRO}")
    # The longest last: its rows end with it, and no other is padded to it.
    table = simple_table("", ("layer", *numbers, "what changed"), right=numbers)
    for item in changes:
        difference = item.difference_us
        table.add_row(
            item.name,
            words.microseconds(item.before_us),
            words.microseconds(item.after_us),
            "-" if difference is None else f"{difference:+.1f}",
            item.change or "-",
        )
    return table


def _time(side: Compared) -> str:
    if side.latency_us is None:
        return "no trial of it in this database: its times are not known"
    model = f" by {side.cost_model}" if side.cost_model else ""
    return f"{words.latency(side.latency_us, side.kind)}{model}"


def _print_sum(console: Console, found: Differences) -> None:
    before, after = found.before, found.after
    if before.latency_us is None or after.latency_us is None:
        return
    say(console)
    difference = after.latency_us - before.latency_us
    say(
        console,
        f"Latency B - A: {difference:+.1f} {words.MICRO} ({difference / before.latency_us:+.1%})",
    )
    if before.kind is not after.kind or before.cost_model != after.cost_model:
        say(console, "  These times are not of one source, and do not compare", "yellow")


_SHOWN = (Went.INVALID, Went.SLOWER, Went.FASTER, Went.VALID)


def print_drift(
    console: Console, drift: Drift, names: Mapping[str, Sequence[str]], most: int
) -> None:
    """Print what changed between two versions or calibrations, the most first.

    ``names`` are layers of stored studies by their signature; ``most`` records are listed of each
    way to change.
    """
    for side, label in ((drift.before, "Before"), (drift.after, "After")):
        say(
            console,
            f"{label}: {side.title} (ttnn {side.device.ttnn_version}, estimates by "
            f"{side.cost.version})",
        )
    counted = ", ".join(f"{number:,} {went.value}" for went, number in drift.counts.items())
    say(console, f"{words.count(len(drift.records), 'answer')} of both: {counted}")
    if drift.only_before or drift.only_after:
        say(
            console,
            f"Answered before alone: {drift.only_before:,}; after alone: {drift.only_after:,}",
        )
    if drift.unreadable:
        say(console, f"{words.count(drift.unreadable, 'record')} of other versions cannot be read")
    for went in _SHOWN:
        found = drift.of(went)
        if not found:
            continue
        table = simple_table(
            f"{went.value.capitalize()}: {len(found):,}"
            + (f", the first {most}" if len(found) > most else ""),
            ("layer", "configuration", "before", "after", "change"),
            right=("before", "after", "change"),
        )
        for record in found[:most]:
            ratio = record.ratio
            table.add_row(
                _layer_of(record, names),
                describe(record.config),
                _answer(record.before),
                _answer(record.after),
                "-" if ratio is None else f"{100 * (ratio - 1):+.1f}%",
            )
        console.print(table)


def _layer_of(record: Drifted, names: Mapping[str, Sequence[str]]) -> str:
    own = names.get(record.layer_signature, ())
    return own[0] if own else record.layer_signature


def _answer(answer: Answered) -> str:
    if answer.rejection is not None:
        return answer.rejection.kind.value
    return words.latency(answer.time_us, answer.kind)


def drift_plain(drift: Drift, names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return all of it as JSON types; what stayed the same is counted alone."""
    changed = [record for went in _SHOWN for record in drift.of(went)]
    return {
        "before": drift.before.to_plain(),
        "after": drift.after.to_plain(),
        "counts": {went.value: number for went, number in drift.counts.items()},
        "only_before": drift.only_before,
        "only_after": drift.only_after,
        "unreadable": drift.unreadable,
        "changed": [
            {"layers": list(names.get(record.layer_signature, ())), **record.to_plain()}
            for record in changed
        ],
    }
