"""Where a trial's time goes: rows per layer and per reshard, for tables and JSON."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from autosched.report.configurations import describe, describe_change
from autosched.schedule import DeviceOp, Schedule, labelled_edge, move_label

_LAYOUT_OPS = ("InterleavedToSharded", "ShardedToInterleaved", "Reshard")


@dataclass(frozen=True)
class LayerRow:
    """One layer as it ran.

    ``time_us`` is the sum of its device ops and None where they were not timed, ``share`` its part
    of all ops, ``l1_bytes`` what its largest op takes of each core's L1: circular buffers and
    shards of its operands.
    """

    layer: str
    configuration: str
    time_us: float | None
    share: float | None
    cores: int
    l1_bytes: int
    ops: tuple[str, ...]

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return {**asdict(self), "ops": list(self.ops)}


@dataclass(frozen=True)
class ReshardRow:
    """One change of layout between layers.

    ``by`` is "schedule" for one the schedule asks for before a layer, "move" for one it asks for
    while a tensor waits for later layers, and "ttnn" for one that ttnn inserted by itself.
    """

    producer: str
    consumer: str
    by: str
    change: str
    time_us: float | None
    share: float | None

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return asdict(self)


def layer_rows(schedule: Schedule, ops: Sequence[DeviceOp]) -> list[LayerRow]:
    """Return a row for every layer of a schedule in execution order."""
    total_us = _sum_us(ops)
    by_layer: dict[str, list[DeviceOp]] = {name: [] for name in schedule.layers}
    for op in ops:
        if op.layer in by_layer:
            by_layer[op.layer].append(op)
    return [
        LayerRow(
            layer=name,
            configuration=describe(schedule.layers[name]),
            time_us=_sum_us(own),
            share=_share(_sum_us(own), total_us),
            cores=max((op.cores for op in own), default=0),
            l1_bytes=max(map(_l1_bytes, own), default=0),
            ops=tuple(short_code(op) for op in own),
        )
        for name, own in by_layer.items()
    ]


def reshard_rows(schedule: Schedule, ops: Sequence[DeviceOp]) -> list[ReshardRow]:
    """Return a row for every change of layout, in the order they ran."""
    total_us = _sum_us(ops)
    rows = []
    for name, group in groupby(ops, key=lambda op: op.layer):
        own = tuple(group)
        if name in schedule.layers:
            rows += [
                _row(producer, consumer, "ttnn", [op], total_us)
                for producer, consumer, op in _inserted(name, own)
            ]
        elif " -> " in name:
            edge = labelled_edge(name)
            by = "move" if name == move_label(edge) else "schedule"
            rows.append(_row(edge.producer, edge.consumer, by, own, total_us))
    return rows


def short_code(op: DeviceOp) -> str:
    """Return a device operation's name without the ending they all have."""
    return op.code.removesuffix("DeviceOperation")


def _row(
    producer: str, consumer: str, by: str, ops: Sequence[DeviceOp], total_us: float | None
) -> ReshardRow:
    first, last = ops[0], ops[-1]
    change = (
        describe_change(first.inputs[0].layout, last.outputs[-1].layout)
        if first.inputs and last.outputs
        else short_code(first)
    )
    time_us = _sum_us(ops)
    return ReshardRow(producer, consumer, by, change, time_us, _share(time_us, total_us))


def _inserted(layer: str, ops: Iterable[DeviceOp]) -> Iterator[tuple[str, str, DeviceOp]]:
    """Yield (producer, consumer, op): before the layer's own work it is the consumer."""
    worked = False
    for op in ops:
        if op.code.startswith(_LAYOUT_OPS):
            yield (layer, "", op) if worked else ("", layer, op)
        else:
            worked = True


def _l1_bytes(op: DeviceOp) -> int:
    tensors = (*op.inputs, *op.outputs)
    return op.circular_buffer_bytes + sum(tensor.layout.shard_bytes for tensor in tensors)


def _sum_us(ops: Sequence[DeviceOp]) -> float | None:
    """Return microseconds, None if an op is not timed."""
    times_ns = [op.time_ns for op in ops if op.time_ns is not None]
    return sum(times_ns) / 1e3 if len(times_ns) == len(ops) else None


def _share(time_us: float | None, total_us: float | None) -> float | None:
    return time_us / total_us if time_us is not None and total_us else None
