"""What a schedule file may say: legal values of every field, and for what it was made."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import combinations
from typing import Any, cast

from autosched.errors import ScheduleError
from autosched.export.ttnn_values import SLICE_TYPES
from autosched.network.graph import Network, in_execution_order
from autosched.network.legal_values import (
    COMPOSED,
    CONVERT_TO_CHW,
    CONVERT_TO_HWC,
    TURNED_TILES,
    Fault,
    eltwise_faults,
    layer_faults,
)
from autosched.network.operators import DEVICE, NHWC
from autosched.schedule.configurations import (
    HOST_METHOD,
    HOST_OUTPUT_METHOD,
    MATMUL_KINDS,
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    MatmulProgram,
    PoolConfig,
)
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.serialization import freeing_flags, from_plain
from autosched.schedule.tensors import (
    CoreRange,
    DataType,
    Edge,
    PageLayout,
    ShardLayout,
    TensorLayout,
)

ACT_BLOCK_STEP = 32
"""Rows of a tile: an activation block is a whole number of tiles high."""

CONV_OUTPUTS = ("sharded", "dram")
POOL_SLICINGS = ("auto", *SLICE_TYPES)
CONV_SLICINGS = ("l1_full", *POOL_SLICINGS)
MATMUL_OUTPUTS = ("dram", "l1", "width", "height", "block")
SHARDED_LAYOUTS = (ShardLayout.HEIGHT, ShardLayout.WIDTH, ShardLayout.BLOCK)
FLOAT_TYPES = (DataType.BFLOAT16, DataType.BFLOAT8_B, DataType.BFLOAT4_B, DataType.FLOAT32)
FIXED_METHODS = (
    *("", "permute", CONVERT_TO_HWC, *TURNED_TILES, CONVERT_TO_CHW, NHWC, DEVICE, COMPOSED),
    *(HOST_METHOD, HOST_OUTPUT_METHOD),
)
_BLOCK_FLOATS = (DataType.BFLOAT8_B, DataType.BFLOAT4_B)


def validate_schedule(schedule: Schedule, file: str) -> None:
    """Check every value that its type alone does not.

    Raises:
        ScheduleError: naming the file, the layer or edge, the field and its legal values.
    """
    _report(file, "PROVENANCE", _provenance_faults(schedule.provenance))
    for name, config in schedule.layers.items():
        _report(file, f"layer {name!r}", _config_faults(config))
    for noun, table in (("reshard", schedule.reshards), ("move", schedule.moves)):
        for edge, layout in table.items():
            place = f"{noun} {str(edge)!r}"
            _report(file, place, _edge_faults(edge, schedule))
            _report(file, place, _layout_faults(layout, ""))
    _report(file, "frees", _frees_faults(schedule))


def check_provenance(
    schedule: Schedule, network_signature: str, board: str, ttnn_version: str
) -> None:
    """Check that a schedule was made for this network, board and ttnn.

    Raises:
        ScheduleError: naming what differs, and the way out.
    """
    made_for = schedule.provenance
    if made_for.network_signature != network_signature:
        raise ScheduleError(
            f"the schedule was made for network {made_for.network!r} with signature "
            f"{made_for.network_signature}, and this network's is {network_signature}: its "
            "layers or shapes (batch included) differ. Use the network and batch "
            f"({made_for.batch}) it was made for, or search this one with autosched run."
        )
    if made_for.board != board:
        raise ScheduleError(
            f"the schedule was made for board {made_for.board}, not {board}. Use --board "
            f"{made_for.board}, or search for {board} with autosched run --board {board}."
        )
    if made_for.ttnn_version != ttnn_version:
        raise ScheduleError(
            f"the schedule was made with ttnn {made_for.ttnn_version}, and ttnn {ttnn_version} is "
            f"installed. Install ttnn=={made_for.ttnn_version}, or search again with autosched run."
        )


def check_layers(schedule: Schedule, file: str, network: Network) -> None:
    """Check that a schedule has the layers of a network.

    Raises:
        ScheduleError: naming the file and the layer that is missing or too many, or has a value
            that its operator has not.
    """
    for name in schedule.layers:
        if name not in network.by_name:
            raise ScheduleError(
                f"{file}: layer {name!r} is not in network {network.name}; remove it, or export "
                "the schedule again"
            )
    for layer in network:
        if layer.name not in schedule.layers:
            raise ScheduleError(
                f"{file}: layer {layer.name!r} is missing; export the schedule again"
            )
    for layer in network:
        for fault in layer_faults(layer, schedule.layers[layer.name]):
            raise ScheduleError(
                f"{file}: layer {layer.name!r}: {fault}. Correct it, or export the schedule again."
            )
    for edge in schedule.reshards:
        if edge not in network.edges:
            raise ScheduleError(
                f"{file}: reshard {str(edge)!r} is of no edge of network {network.name}; correct "
                "it, or remove it"
            )
    _check_order(schedule, file, network)


def _check_order(schedule: Schedule, file: str, network: Network) -> None:
    try:
        last_uses = in_execution_order(network, schedule).last_uses
    except ScheduleError as error:
        raise ScheduleError(f"{file}: {error}") from None
    place = {name: number for number, name in enumerate(schedule.layers)}
    for edge in schedule.moves:
        if place[edge.producer] > place[edge.consumer]:
            raise ScheduleError(
                f"{file}: move {str(edge)!r} is before its tensor is there; name a layer from "
                f"{edge.producer} on"
            )
        last = last_uses.get(edge.producer)
        if last is not None and place[edge.consumer] >= place[last]:
            raise ScheduleError(
                f"{file}: move {str(edge)!r} is after {last}, the last to read its tensor; name an "
                "earlier layer, or remove it"
            )


def one_of(values: tuple[str, ...]) -> str:
    """Return the legal values as words."""
    shown = [str(value) or "none" for value in values]
    return ", ".join(shown[:-1]) + f" or {shown[-1]}"


def _report(file: str, place: str, faults: Iterator[Fault]) -> None:
    for fault in faults:
        raise ScheduleError(f"{file}: {place}: {fault}. Correct it, or export the schedule again.")


def _choice(owner: object, name: str, legal: tuple[str, ...], prefix: str = "") -> Iterator[Fault]:
    value = getattr(owner, name)
    if value not in legal:
        yield Fault(f"{prefix}{name}", value, one_of(legal))


def _provenance_faults(made_for: Provenance) -> Iterator[Fault]:
    if made_for.batch < 1:
        yield Fault("batch", made_for.batch, "1 or more images")
    if made_for.pack_images < 1 or made_for.batch % made_for.pack_images:
        legal = f"a number of images that divides the batch, {made_for.batch}"
        yield Fault("pack_images", made_for.pack_images, legal)
    latency = made_for.latency_us
    if latency is not None and not (math.isfinite(latency) and latency >= 0):
        yield Fault("latency_us", latency, "a time in microseconds")
    if latency is not None and made_for.latency_kind is None:
        yield Fault("latency_kind", "None", "measured or estimated where latency_us is given")
    low, high = made_for.published_us or (1.0, 1.0)
    if not (math.isfinite(high) and 0 < low <= high):
        yield Fault("published_us", made_for.published_us, "(least, most) time in microseconds")


def _program_faults(program: MatmulProgram) -> Iterator[Fault]:
    yield from _choice(program, "kind", MATMUL_KINDS, "program.")
    sizes = {item.name: getattr(program, item.name) for item in fields(program)}
    if min(sizes.pop("grid")) < 1:
        yield Fault("program.grid", program.grid, "(columns, rows), each 1 or more")
    for name, size in sizes.items():
        if name != "kind" and size < 1:
            yield Fault(f"program.{name}", size, "1 or more tiles")


def _config_faults(config: LayerConfig) -> Iterator[Fault]:
    if isinstance(config, Conv2dConfig):
        yield from _conv2d_faults(config)
    elif isinstance(config, MatmulConfig):
        yield from _choice(config, "output", MATMUL_OUTPUTS)
        yield from _choice(config, "weights_dtype", FLOAT_TYPES)
        yield from _choice(config, "output_dtype", FLOAT_TYPES)
        if config.core_grid is not None and min(config.core_grid) < 1:
            yield Fault("core_grid", config.core_grid, "(columns, rows), each 1 or more")
        if config.program is not None and config.core_grid is not None:
            yield Fault("core_grid", config.core_grid, "None with a program, which has its own")
        if config.program is not None:
            yield from _program_faults(config.program)
    elif isinstance(config, PoolConfig):
        if config.shard_layout is not None:
            yield from _choice(config, "shard_layout", SHARDED_LAYOUTS)
        yield from _choice(config, "output_dtype", FLOAT_TYPES)
        yield from _choice(config, "output_memory", CONV_OUTPUTS)
        yield from _slicing_faults(config, POOL_SLICINGS)
    elif isinstance(config, EltwiseConfig):
        yield from _choice(config, "output_dtype", FLOAT_TYPES)
        yield from eltwise_faults(config)
        yield from _layout_faults(config.layout, "layout.")
    elif isinstance(config, FixedConfig):
        yield from _choice(config, "method", FIXED_METHODS)
        yield from _layout_faults(config.output, "output.")


def _conv2d_faults(config: Conv2dConfig) -> Iterator[Fault]:
    if config.shard_layout is not None:
        yield from _choice(config, "shard_layout", SHARDED_LAYOUTS)
    rows = config.act_block_h_override
    if rows < 0 or rows % ACT_BLOCK_STEP:
        yield Fault("act_block_h_override", rows, f"0 or a multiple of {ACT_BLOCK_STEP}")
    if config.act_block_w_div < 1:
        yield Fault("act_block_w_div", config.act_block_w_div, "1 or more")
    yield from _choice(config, "weights_dtype", FLOAT_TYPES)
    yield from _choice(config, "output_dtype", FLOAT_TYPES)
    if config.output_page is PageLayout.ROW_MAJOR and config.output_dtype in _BLOCK_FLOATS:
        yield Fault("output_page", config.output_page, f"tile for {config.output_dtype}")
    yield from _choice(config, "output_memory", CONV_OUTPUTS)
    yield from _slicing_faults(config, CONV_SLICINGS)
    yield from _grid_faults(config.core_grid, "core_grid")


def _slicing_faults(
    config: Conv2dConfig | PoolConfig, slicings: tuple[str, ...]
) -> Iterator[Fault]:
    yield from _choice(config, "slicing", slicings)
    if config.num_slices < 0 or (config.num_slices and config.slicing not in SLICE_TYPES):
        yield Fault("num_slices", config.num_slices, "0, or more with dram_height or dram_width")


def _edge_faults(edge: Edge, schedule: Schedule) -> Iterator[Fault]:
    for item in fields(edge):
        name = getattr(edge, item.name)
        if isinstance(name, str) and name not in schedule.layers:
            yield Fault(item.name, name, "the name of a layer of this schedule")


def _frees_faults(schedule: Schedule) -> Iterator[Fault]:
    for name in sorted(schedule.frees):
        if not isinstance(schedule.layers.get(name), Conv2dConfig | PoolConfig):
            yield Fault("layer", name, "the name of a convolution or pool of this schedule")


def _layout_faults(layout: TensorLayout, prefix: str) -> Iterator[Fault]:
    if prefix:
        yield from _choice(layout, "dtype", FLOAT_TYPES, prefix)
    yield from _grid_faults(layout.grid, f"{prefix}grid")
    if bool(layout.grid) != (layout.shard_shape is not None):
        yield Fault(f"{prefix}shard_shape", layout.shard_shape, "given with a grid, and only then")
    if layout.grid and not layout.is_sharded:
        yield Fault(f"{prefix}grid", layout.grid, "empty for an interleaved tensor")
    if layout.transposed and layout.shard_shape is None:
        yield Fault(f"{prefix}transposed", True, "False without shards")
    if layout.shard_shape is not None and min(layout.shard_shape) < 1:
        yield Fault(f"{prefix}shard_shape", layout.shard_shape, "(rows, columns), each 1 or more")
    if layout.dtype in _BLOCK_FLOATS and layout.page is not PageLayout.TILE:
        yield Fault(f"{prefix}page", layout.page, f"tile for {layout.dtype}")


def _grid_faults(grid: tuple[CoreRange, ...], name: str) -> Iterator[Fault]:
    for part in grid:
        if not (0 <= part.x0 <= part.x1 and 0 <= part.y0 <= part.y1):
            yield Fault(name, part, "first core to last core, neither negative")
    for one, other in combinations(grid, 2):
        if _overlap(one, other):
            yield Fault(name, f"{one} and {other}", "rectangles that do not overlap")


def _overlap(one: CoreRange, other: CoreRange) -> bool:
    return one.x0 <= other.x1 and other.x0 <= one.x1 and one.y0 <= other.y1 and other.y0 <= one.y1


def build_schedule(tables: Mapping[str, Any], file: str) -> Schedule:
    """Return the schedule that plain values describe.

    ``tables`` has ``provenance``, ``layers``, and where there are any ``reshards``, ``moves`` and
    ``frees``, instead of which the layers may say themselves whether they free.

    Raises:
        ScheduleError: naming ``file``, the layer or edge, the field and what is legal.
    """
    schedule = Schedule(
        from_plain(Provenance, tables["provenance"], f"{file}: PROVENANCE"),
        {
            name: cast("LayerConfig", from_plain(LayerConfig, plain, f"{file}: layer {name!r}"))
            for name, plain in named_entries(tables["layers"], "layers", file)
        },
        _by_edge(tables.get("reshards", {}), "reshard", file),
        _by_edge(tables.get("moves", {}), "move", file),
        _frees(tables, file),
    )
    validate_schedule(schedule, file)
    return schedule.with_own_execution()


def _frees(tables: Mapping[str, Any], file: str) -> frozenset[str]:
    flags = freeing_flags(tables["layers"])
    if "frees" not in tables:
        return frozenset(name for name, frees in flags.items() if frees)
    for name in flags:
        raise ScheduleError(
            f"{file}: layer {name!r} says itself whether it frees its input; say it in frees alone"
        )
    found: frozenset[str] = from_plain(frozenset[str], tables["frees"], f"{file}: frees")
    return found


def _by_edge(table: Any, noun: str, file: str) -> dict[Edge, TensorLayout]:
    return {
        _parse_edge(name, f"{file}: {noun} {name!r}"): from_plain(
            TensorLayout, plain, f"{file}: {noun} {name!r}"
        )
        for name, plain in named_entries(table, f"{noun}s", file)
    }


def named_entries(table: Any, what: str, file: str) -> list[tuple[str, Any]]:
    """Return the items of a table whose keys are names.

    Raises:
        ScheduleError: if it is no such table.
    """
    if not isinstance(table, Mapping):
        raise ScheduleError(f"{file}: {what}: expected a table by name, not {table!r}")
    for name in table:
        if not isinstance(name, str):
            raise ScheduleError(f"{file}: {what}: {name!r} is no name; write it in quotes")
    return list(table.items())


def _parse_edge(text: str, where: str) -> Edge:
    try:
        edge = Edge.parse(text)
    except ScheduleError:
        edge = None
    if edge is None or str(edge) != text or not edge.consumer:
        raise ScheduleError(
            f"{where} is no edge; write 'producer -> consumer', or "
            "'producer -> consumer#1' for the consumer's second input"
        )
    return edge
