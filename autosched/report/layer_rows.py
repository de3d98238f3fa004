"""Where a trial's time goes: rows per layer and per reshard, for tables and JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

from rich.console import Console

from autosched.cost.model import CostModel, spending
from autosched.network.graph import Network, moved_bytes, operators
from autosched.report import words
from autosched.report.output import say
from autosched.schedule.configurations import (
    HOST_OUTPUT_METHOD,
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import DeviceOp, TimeKind
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Memory, PageLayout, TensorLayout, labelled_edge, move_label

_LAYOUT_OPS = ("InterleavedToSharded", "ShardedToInterleaved", "Reshard")


@dataclass(frozen=True)
class LayerRow:
    """One layer as it ran.

    ``time_us`` is the sum of its device ops and None where they were not timed, ``time_kind`` where
    it is from, ``share`` its part of all ops, ``l1_bytes`` what its largest op takes of each core's
    L1: circular buffers and shards of its operands. ``split_us`` and ``utilisation`` say
    what its estimated time goes to (:class:`autosched.cost.model.Spending`), ``limited_by`` what
    most of it does; they are empty where that is not known.
    """

    layer: str
    configuration: str
    time_us: float | None
    time_kind: TimeKind | None
    share: float | None
    cores: int
    l1_bytes: int
    ops: tuple[str, ...]
    split_us: Mapping[str, float] = field(default_factory=dict)
    utilisation: Mapping[str, float] = field(default_factory=dict)
    limited_by: str = ""

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
    time_kind: TimeKind | None
    share: float | None

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return asdict(self)


def layer_rows(
    schedule: Schedule,
    ops: Sequence[DeviceOp],
    kind: TimeKind | None,
    cost: CostModel | None = None,
) -> list[LayerRow]:
    """Return a row for every layer of a schedule in execution order.

    ``kind`` is the trial's, ``cost`` the model that estimated it, if it is at hand.
    """
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
            time_kind=None if _sum_us(own) is None else kind,
            share=_share(_sum_us(own), total_us),
            cores=max((op.cores for op in own), default=0),
            l1_bytes=max(map(op_l1_bytes, own), default=0),
            ops=tuple(short_code(op) for op in own),
            **({} if cost is None else _spent(own, cost)),
        )
        for name, own in by_layer.items()
    ]


def _spent(ops: Sequence[DeviceOp], cost: CostModel) -> dict[str, Any]:
    spent = spending(map(cost.predict, ops))
    return {**asdict(spent), "limited_by": spent.limit}


def reshard_rows(
    schedule: Schedule, ops: Sequence[DeviceOp], kind: TimeKind | None
) -> list[ReshardRow]:
    """Return a row for every change of layout, in the order they ran; ``kind`` is the trial's."""
    total_us = _sum_us(ops)
    rows = []
    for name, group in groupby(ops, key=lambda op: op.layer):
        own = tuple(group)
        if name in schedule.layers:
            rows += [
                _row(producer, consumer, "ttnn", [op], total_us, kind)
                for producer, consumer, op in _inserted(name, own)
            ]
        elif " -> " in name:
            edge = labelled_edge(name)
            by = "move" if name == move_label(edge) else "schedule"
            rows.append(_row(edge.producer, edge.consumer, by, own, total_us, kind))
    return rows


def short_code(op: DeviceOp) -> str:
    """Return a device operation's name without the ending they all have."""
    return op.code.removesuffix("DeviceOperation")


def _row(
    producer: str,
    consumer: str,
    by: str,
    ops: Sequence[DeviceOp],
    total_us: float | None,
    kind: TimeKind | None,
) -> ReshardRow:
    first, last = ops[0], ops[-1]
    change = (
        describe_change(first.inputs[0].layout, last.outputs[-1].layout)
        if first.inputs and last.outputs
        else short_code(first)
    )
    time_us = _sum_us(ops)
    known = None if time_us is None else kind
    return ReshardRow(producer, consumer, by, change, time_us, known, _share(time_us, total_us))


def _inserted(layer: str, ops: Iterable[DeviceOp]) -> Iterator[tuple[str, str, DeviceOp]]:
    """Yield (producer, consumer, op): before the layer's own work it is the consumer."""
    worked = False
    for op in ops:
        if op.code.startswith(_LAYOUT_OPS):
            yield (layer, "", op) if worked else ("", layer, op)
        else:
            worked = True


def op_l1_bytes(op: DeviceOp) -> int:
    """Return what an op takes of each core's L1: circular buffers and shards of its operands."""
    tensors = (*op.inputs, *op.outputs)
    return op.circular_buffer_bytes + sum(tensor.layout.shard_bytes for tensor in tensors)


def _sum_us(ops: Sequence[DeviceOp]) -> float | None:
    """Return microseconds, None if an op is not timed."""
    times_ns = [op.time_ns for op in ops if op.time_ns is not None]
    return sum(times_ns) / 1e3 if len(times_ns) == len(ops) else None


def _share(time_us: float | None, total_us: float | None) -> float | None:
    return time_us / total_us if time_us is not None and total_us else None


def describe(config: LayerConfig) -> str:
    """Return for example "height, act_block_h 64, double-buffered".

    Formats and fidelity are left out: they are a policy of the whole network so far.
    """
    if isinstance(config, Conv2dConfig):
        return ", ".join(_conv2d(config))
    if isinstance(config, MatmulConfig):
        return ", ".join(_matmul(config))
    if isinstance(config, PoolConfig):
        return ", ".join(_pool(config))
    if isinstance(config, EltwiseConfig):
        return place(config.layout)
    return _fixed(config)


def place(layout: TensorLayout) -> str:
    """Return where a tensor lies: "height", "DRAM", "L1 interleaved"."""
    if layout.is_sharded:
        return layout.sharding.value if layout.memory is Memory.L1 else f"DRAM {layout.sharding}"
    return "DRAM" if layout.memory is Memory.DRAM else "L1 interleaved"


def describe_change(source: TensorLayout, target: TensorLayout) -> str:
    """Return what a reshard changes: "height 56 -> block 49", the numbers being cores.

    Shards, pages and formats are named where they are what differs.
    """
    if source == target:
        return f"{_spread(source)}, packed"
    same_spread = _spread(source) == _spread(target)
    return " -> ".join(
        " ".join(_parts(layout, other, same_spread))
        for layout, other in ((source, target), (target, source))
    )


def _spread(layout: TensorLayout) -> str:
    return f"{place(layout)} {layout.cores}" if layout.is_sharded else place(layout)


def _parts(layout: TensorLayout, other: TensorLayout, same_spread: bool) -> Iterator[str]:
    yield _spread(layout)
    if same_spread and layout.shard_shape != other.shard_shape and layout.shard_shape:
        rows, columns = layout.shard_shape
        yield f"of {rows}x{columns}"
    if layout.page is not other.page:
        yield "tiles" if layout.page is PageLayout.TILE else "rows"
    if layout.dtype is not other.dtype:
        yield layout.dtype.value


def _conv2d(config: Conv2dConfig) -> Iterator[str]:
    yield config.shard_layout.value if config.shard_layout else "ttnn's layout"
    if config.fold_input:
        yield "input folded"
    if config.slicing == "auto":
        yield "sliced by ttnn"
    yield from _slices(config)
    if config.act_block_h_override:
        yield f"act_block_h {config.act_block_h_override}"
    if config.act_block_w_div != 1:
        yield f"act_block_w_div {config.act_block_w_div}"
    yield from _double_buffers(config)
    if config.core_grid:
        yield f"grid of {sum(part.cores for part in config.core_grid)}"
    switches = {
        "full inner dim": config.full_inner_dim,
        "activation reuse": config.enable_activation_reuse,
        "split reader": config.force_split_reader,
        "config tensors in DRAM": config.config_tensors_in_dram,
        "transposed shards": config.transpose_shards,
        "stride folding": config.enable_kernel_stride_folding,
        "halo moved": config.reallocate_halo_output,
        "rows": config.output_page is PageLayout.ROW_MAJOR,
        "fp32 accumulation": config.compute.fp32_dest_acc_en,
        "output to DRAM": config.output_memory == "dram",
    }
    yield from (words for words, used in switches.items() if used)


def _slices(config: Conv2dConfig | PoolConfig) -> Iterator[str]:
    if config.slicing.startswith("dram_"):
        count = config.num_slices or "as few as fit"
        yield f"slices of {config.slicing.removeprefix('dram_')}: {count}"


def _double_buffers(config: Conv2dConfig) -> Iterator[str]:
    if config.enable_act_double_buffer and config.enable_weights_double_buffer:
        yield "double-buffered"
    elif config.enable_act_double_buffer:
        yield "activations double-buffered"
    elif config.enable_weights_double_buffer:
        yield "weights double-buffered"


def _matmul(config: MatmulConfig) -> Iterator[str]:
    if config.core_grid is not None:
        columns, rows = config.core_grid
        yield f"grid {columns}x{rows}"
    if config.program is not None:
        columns, rows = config.program.grid
        yield f"{config.program.kind} {columns}x{rows}, blocks of {config.program.in0_block_w}"
    yield f"output {config.output.upper() if config.output in ('dram', 'l1') else config.output}"


def _pool(config: PoolConfig) -> Iterator[str]:
    yield config.shard_layout.value if config.shard_layout else "as its input"
    yield from _slices(config)
    if config.output_page is PageLayout.ROW_MAJOR:
        yield "rows"
    if config.reallocate_halo_output:
        yield "halo moved"
    if config.output_memory == "dram":
        yield "output to DRAM"


def _fixed(config: FixedConfig) -> str:
    if config.method == HOST_OUTPUT_METHOD:
        return "host, the result stays there"
    words = [config.method] if config.method else []
    words.append(place(config.output))
    if config.compute is not None:
        words.append(str(config.compute.math_fidelity))
        words += ["fp32 accumulation"] if config.compute.fp32_dest_acc_en else []
    return ", ".join(words)


def host_rows(network: Network) -> list[dict[str, Any]]:
    """Return the host layers of a network as JSON types; bytes are those of bfloat16."""
    rows = []
    for layer in network.host_layers:
        read, written = moved_bytes(network, layer)
        rows.append(
            {
                "layer": layer.name,
                "operators": list(operators(layer)),
                "source": layer.source,
                "reason": layer.reason,
                "read_bytes": read,
                "written_bytes": written,
            }
        )
    return rows


def warn_of_host_layers(console: Console, network: Network) -> None:
    """Say which layers run on the host, why, what they move, and what of that is estimated."""
    rows = host_rows(network)
    if not rows:
        return
    read, written = (sum(row[name] for row in rows) for name in ("read_bytes", "written_bytes"))
    back = f"{words.kibibytes(written)} KiB back" if written else "nothing back"
    say(
        console,
        f"Warning: {words.count(len(rows), 'layer')} on the host, moving "
        f"{words.kibibytes(read)} KiB from the device and {back} for each inference:",
        "yellow",
    )
    for row in rows:
        where = f" at {row['source']}" if row["source"] else ""
        names = ", ".join(row["operators"])
        say(console, f"  {row['layer']} ({names}){where}: {row['reason']}", "yellow")
    say(
        console,
        "  Estimates count these transfers, coarsely, and not what the host computes; a card is "
        "timed with both, without a trace",
        "yellow",
    )
