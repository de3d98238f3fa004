"""What a user's program ran on the device, op by op, with times that a cost model estimates."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from autosched.cost.model import CostModel, spending
from autosched.report import words
from autosched.report.layer_rows import op_l1_bytes, place, short_code
from autosched.report.tables import simple_table
from autosched.schedule.outcomes import DeviceOp, TimeKind
from autosched.schedule.tensors import PageLayout, TensorInfo, TensorLayout

NO_FORMULAS = "no formulas"
"""What stands for the limit of an op whose time is a guess from its bytes."""


@dataclass(frozen=True)
class OpRow:
    """One device op.

    ``call`` is the call of the program's that it served, ``scope`` the signpost before it or "".
    ``limit`` is the resource that most of the time goes to with its share, ``split_us`` all of them
    and ``utilisation`` that of each engine (:class:`autosched.cost.model.Spending`), ``terms_us``
    the times by the cost model's coefficients.
    ``l1_bytes`` is what it takes of each core's L1: circular buffers and shards of its operands.
    """

    number: int
    op: str
    call: str
    scope: str
    time_us: float
    share: float
    cores: int
    l1_bytes: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    change: str
    limit: str
    split_us: Mapping[str, float]
    utilisation: Mapping[str, float]
    terms_us: Mapping[str, float]

    @property
    def group(self) -> str:
        """What it is grouped by: its signpost, where there is one."""
        return self.scope or self.call

    @property
    def is_guess(self) -> bool:
        """Whether the cost model has no formulas for it."""
        return self.limit == NO_FORMULAS

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        plain = {key: value for key, value in asdict(self).items() if key != "change"}
        lists = {"inputs": list(self.inputs), "outputs": list(self.outputs)}
        return {**plain, **lists, "time_kind": TimeKind.ESTIMATED.value}


@dataclass(frozen=True)
class GroupRow:
    """Several ops together: those of one name, of one call, or after one signpost."""

    name: str
    ops: tuple[str, ...]
    time_us: float
    share: float
    cores: int
    l1_bytes: int

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return {**asdict(self), "ops": list(self.ops), "time_kind": TimeKind.ESTIMATED.value}


def op_rows(ops: Sequence[DeviceOp], callers: Sequence[str], cost: CostModel) -> list[OpRow]:
    """Return a row for every op, in order; ``callers`` are the calls that they served."""
    predictions = [cost.predict(op) for op in ops]
    total_ns = sum(found.time_ns for found in predictions) or 1.0
    rows = []
    for number, (op, caller, found) in enumerate(zip(ops, callers, predictions, strict=True)):
        spent = spending([found])
        rows.append(
            OpRow(
                number=number + 1,
                op=short_code(op),
                call=caller,
                scope=op.layer,
                time_us=found.time_ns / 1e3,
                share=found.time_ns / total_ns,
                cores=op.cores,
                l1_bytes=op_l1_bytes(op),
                inputs=tuple(map(_tensor, op.inputs)),
                outputs=tuple(map(_tensor, op.outputs)),
                change=_change(op),
                limit=spent.limit if found.known else NO_FORMULAS,
                split_us=spent.split_us,
                utilisation=spent.utilisation,
                terms_us={name: time_ns / 1e3 for name, time_ns in found.terms.items()},
            )
        )
    return rows


def op_groups(rows: Iterable[OpRow], key: Callable[[OpRow], str]) -> list[GroupRow]:
    """Return the ops that have a key in common as one row each, in the order they first ran."""
    groups: dict[str, list[OpRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [
        GroupRow(
            name=name,
            ops=tuple(row.op for row in own),
            time_us=sum(row.time_us for row in own),
            share=sum(row.share for row in own),
            cores=max(row.cores for row in own),
            l1_bytes=max(row.l1_bytes for row in own),
        )
        for name, own in groups.items()
    ]


def op_table(rows: Iterable[OpRow]) -> Table:
    """Return the ops in order: time, cores, L1 per core, layouts, and what limits them."""
    numbers = (words.MICRO, "cores", "L1 KiB")
    columns = ("op", "call", *numbers, "layouts", "limited by")
    table = simple_table("", columns, right=numbers)
    for row in rows:
        table.add_row(
            f"{row.number} {row.op}",
            row.call,
            words.microseconds(row.time_us),
            str(row.cores or "-"),
            words.kibibytes(row.l1_bytes),
            row.change,
            row.limit,
        )
    return table


def group_table(rows: Iterable[GroupRow], name: str) -> Table:
    """Return groups of ops under a heading of their names, with how many ops each has."""
    numbers = ("ops", words.MICRO, "share", "cores", "L1 KiB")
    table = simple_table("", (name, *numbers), right=numbers)
    for row in rows:
        table.add_row(
            row.name,
            str(len(row.ops)),
            words.microseconds(row.time_us),
            words.share(row.share),
            str(row.cores or "-"),
            words.kibibytes(row.l1_bytes),
        )
    return table


def guessed(rows: Iterable[OpRow]) -> Mapping[str, float]:
    """Return the share of the time by op that the cost model has no formulas for."""
    shares: dict[str, float] = {}
    for row in rows:
        if row.is_guess:
            shares[row.op] = shares.get(row.op, 0.0) + row.share
    return shares


def _tensor(info: TensorInfo) -> str:
    return f"{'x'.join(map(str, info.shape))} {info.layout}"


def _change(op: DeviceOp) -> str:
    source = _short(op.inputs[0].layout) if op.inputs else ""
    target = _short(op.outputs[-1].layout) if op.outputs else ""
    return source if source == target else f"{source} -> {target}".strip()


def _short(layout: TensorLayout) -> str:
    spread = f" {layout.cores}" if layout.is_sharded else ""
    rows = " rows" if layout.page is PageLayout.ROW_MAJOR else ""
    return f"{place(layout)}{spread} {layout.dtype}{rows}"
