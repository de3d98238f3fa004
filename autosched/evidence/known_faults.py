"""Configurations that ttnn takes and whose kernels compute wrong, hang or do not compile.

Most were found by executing ttnn's kernels on Tenstorrent's functional simulator; others are
reported in public threads. A fault is told by what ttnn made of a candidate: its device ops, with
the layouts that each has. Boundaries were searched on the simulator; where one is not sharp, the
rule is the wider one.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from autosched.network.graph import Network
from autosched.network.operators import (
    Concat,
    Conv2d,
    Convolution,
    ConvTranspose2d,
    LayerOp,
    Pool2d,
    Upsample,
)
from autosched.schedule.configurations import Conv2dConfig, LayerConfig
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import TILE, DataType, Memory, PageLayout, ShardLayout, TensorLayout

WORMHOLE, BLACKHOLE = "wormhole_b0", "blackhole"
_BOTH = (WORMHOLE, BLACKHOLE)
_EXECUTED = "executed on the simulator with ttnn 0.81.1"

_CONVOLUTION, _POOL, _CONCAT = "Conv2dDeviceOperation", "Pool2D", "ConcatDeviceOperation"
_UPSAMPLE, _SLICE = "UpsampleOperation", "PaddedSliceDeviceOperation"
_CORNERS = re.compile(r"Shape\(\[([\d, ]+)\]\)")


@dataclass(frozen=True)
class Executable:
    """A candidate as ttnn would run it: shapes are PyTorch's, ``ops`` are those of its probe."""

    op: LayerOp
    input_shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    config: LayerConfig
    ops: Sequence[DeviceOp]

    def ops_of(self, code: str) -> list[DeviceOp]:
        """Return the device ops of one kind."""
        return [op for op in self.ops if op.code == code]


@dataclass(frozen=True)
class KnownFault:
    """One kind of candidate that is known to go wrong.

    ``versions`` are the first and the last ttnn release that has it, ("", "") where nobody knows;
    ``confirmed`` the architectures on which the simulator showed it. Where ``applies`` is None,
    nothing is left out for it, as ``consequence`` says.
    """

    name: str
    title: str
    consequence: str
    source: str
    versions: tuple[str, str]
    archs: tuple[str, ...]
    confirmed: tuple[str, ...]
    applies: Callable[[Executable], bool] | None = None

    @property
    def words(self) -> str:
        """The fault in a sentence, with its source."""
        return f"{self.title}: {self.consequence} ({self.name}, {self.source})"

    def holds_for(self, arch: str, ttnn_version: str) -> bool:
        """Return whether a board's architecture and a ttnn release have it."""
        first, last = self.versions
        version = _numbers(ttnn_version)
        is_old = bool(first) and version < _numbers(first)
        is_new = bool(last) and version > _numbers(last)
        return arch in self.archs and not is_old and not is_new


def faults_of(candidate: Executable, arch: str, ttnn_version: str) -> list[KnownFault]:
    """Return what is known to go wrong with a candidate."""
    return [
        fault
        for fault in KNOWN_FAULTS
        if fault.applies is not None
        and fault.holds_for(arch, ttnn_version)
        and fault.applies(candidate)
    ]


def known_faults(
    schedule: Schedule, network: Network, ops: Iterable[DeviceOp], arch: str, ttnn_version: str
) -> dict[str, KnownFault]:
    """Return the layers of a schedule that are known to go wrong; ``ops`` are those of a run."""
    by_layer: dict[str, list[DeviceOp]] = {}
    for op in ops:
        by_layer.setdefault(op.layer, []).append(op)
    found = {}
    for layer in network:
        candidate = Executable(
            layer.op,
            network.input_shapes(layer),
            layer.shape,
            schedule.layers[layer.name],
            by_layer.get(layer.name, ()),
        )
        for fault in faults_of(candidate, arch, ttnn_version)[:1]:
            found[layer.name] = fault
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _columns(layout: TensorLayout) -> int:
    """Return into how many shards the channels of block shards are cut, 0 for other layouts."""
    if layout.sharding is not ShardLayout.BLOCK or not layout.grid:
        return 0
    part = layout.grid[0]
    return part.y1 - part.y0 + 1 if layout.transposed else part.x1 - part.x0 + 1


def _transposed_full_inner_dim(candidate: Executable) -> bool:
    """One row of the kernel is right."""
    op, config = candidate.op, candidate.config
    return (
        isinstance(op, ConvTranspose2d)
        and isinstance(config, Conv2dConfig)
        and config.full_inner_dim
        and op.kernel[0] > 1
        and any(_columns(step.outputs[0].layout) for step in candidate.ops_of(_CONVOLUTION))
    )


def _few_inner_blocks(candidate: Executable) -> bool:
    """Sums of as many inner blocks as the last one alone writes out are packed in place."""
    op, config = candidate.op, candidate.config
    if not isinstance(op, Convolution) or not isinstance(config, Conv2dConfig):
        return False
    wrong = 1 if op.has_bias else 2
    return config.compute.packer_l1_acc and any(
        _columns(step.outputs[0].layout) > 1
        and step.outputs[0].layout.dtype is DataType.BFLOAT8_B
        and _inner_blocks(op, config, step) == wrong
        for step in candidate.ops_of(_CONVOLUTION)
    )


def _inner_blocks(op: Convolution, config: Conv2dConfig, step: DeviceOp) -> int:
    columns = _columns(step.inputs[0].layout)
    return columns if config.full_inner_dim else columns * op.kernel[0]


def _wide_concat(candidate: Executable) -> bool:
    if not isinstance(candidate.op, Concat) or len(candidate.input_shapes) != 2:
        return False
    for step in candidate.ops_of(_CONCAT):
        layouts = [info.layout for info in (*step.inputs, *step.outputs)]
        if all(_is_height_of_block_floats(layout) for layout in layouts):
            return any(9 <= _tiles_wide(layout) <= 16 for layout in layouts)
    return False


def _is_height_of_block_floats(layout: TensorLayout) -> bool:
    return (
        layout.sharding is ShardLayout.HEIGHT
        and layout.memory is Memory.L1
        and layout.page is PageLayout.TILE
        and layout.dtype is DataType.BFLOAT8_B
    )


def _tiles_wide(layout: TensorLayout) -> int:
    return 0 if layout.shard_shape is None else -(-layout.shard_shape[1] // TILE)


def _whole_height_slices(candidate: Executable) -> bool:
    """A slice that takes every row, of an image whose rows do not end with a tile."""
    if not isinstance(candidate.op, Convolution):
        return False
    slices = list(_slices(candidate.ops))
    height, width = candidate.input_shapes[0][2:]
    ragged = bool(width % TILE or candidate.shape[3] % TILE)
    whole = any(start == 0 and stop >= height for start, stop in slices)
    return ragged and len(slices) > 1 and whole and _is_cut_along_height(candidate)


def _is_cut_along_height(candidate: Executable) -> bool:
    """Whether the parts of the output begin in different rows."""
    firsts = {
        tuple(map(int, found[0].split(",")))[1]
        for op in candidate.ops_of("SliceWriteDeviceOperation")
        if (found := _CORNERS.findall(op.attributes))
    }
    return len(firsts) > 1


def _slices(ops: Iterable[DeviceOp]) -> Iterator[tuple[int, int]]:
    """Yield the first row of each slice of an image and the one after its last."""
    for op in ops:
        found = _CORNERS.findall(op.attributes) if op.code == _SLICE else []
        if len(found) >= 2:
            start, stop = ([int(part) for part in corner.split(",")] for corner in found[:2])
            yield start[1], stop[1]


def _pool_height_slices(candidate: Executable) -> bool:
    """Tiles of a width that is no multiple of theirs; rows are right, and so is little padding."""
    op = candidate.op
    if not isinstance(op, Pool2d) or op.padding[2] < op.stride[1]:
        return False
    pools = candidate.ops_of(_POOL)
    return (
        len(pools) > 1
        and bool(candidate.shape[3] % TILE)
        and pools[0].outputs[0].layout.page is PageLayout.TILE
        and _is_cut_along_height(candidate)
    )


def _upsampled_wide_shards(candidate: Executable) -> bool:
    """Shards wider than the channels are cut before, which moves rows between cores."""
    op = candidate.op
    if not isinstance(op, Upsample) or op.mode != "nearest":
        return False
    channels = candidate.input_shapes[0][1]
    return bool(candidate.ops_of(_UPSAMPLE)) and any(
        _columns(info.layout) == 1
        and info.layout.shard_shape is not None
        and info.layout.shard_shape[1] > channels
        for step in candidate.ops
        for info in step.inputs
    )


def _is_depthwise_row(candidate: Executable) -> bool:
    op = candidate.op
    return (
        isinstance(op, Conv2d)
        and op.groups == op.in_channels > 1
        and not op.has_bias
        and op.kernel[0] == 1
        and candidate.input_shapes[0][2] == 1
    )


def _depthwise_row_of_blocks(candidate: Executable) -> bool:
    steps = candidate.ops_of(_CONVOLUTION)
    return _is_depthwise_row(candidate) and any(_columns(s.outputs[0].layout) for s in steps)


def _depthwise_row_of_tables(candidate: Executable) -> bool:
    config = candidate.config
    return (
        _is_depthwise_row(candidate)
        and isinstance(config, Conv2dConfig)
        and config.config_tensors_in_dram
    )


def _reuse_in_parts(candidate: Executable) -> bool:
    """A block that is the whole shard, or ttnn's own choice, is right."""
    config = candidate.config
    return (
        isinstance(config, Conv2dConfig)
        and config.enable_activation_reuse
        and any(
            0 < config.act_block_h_override < _rows(step.outputs[0].layout)
            for step in candidate.ops_of(_CONVOLUTION)
        )
    )


def _rows(layout: TensorLayout) -> int:
    return 0 if layout.shard_shape is None else layout.shard_shape[0]


KNOWN_FAULTS = (
    KnownFault(
        "transposed-full-inner-dim",
        "transposed convolution on BLOCK shards with full_inner_dim, kernels of several rows",
        "wrong numbers, which vary",
        _EXECUTED,
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
        _transposed_full_inner_dim,
    ),
    KnownFault(
        "block-few-inner-blocks",
        "convolution on BLOCK shards of several columns, output bfloat8_b, packer_l1_acc: one "
        "inner block with a bias, two without",
        "infinite and wrong numbers",
        f"{_EXECUTED}; tt-metal 57353 and 52572 report the like",
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
        _few_inner_blocks,
    ),
    KnownFault(
        "wide-concat",
        "concat of two tensors in HEIGHT shards of bfloat8_b tiles, one of the three 9 to 16 tiles "
        "wide",
        "wrong tile columns in most such shapes",
        _EXECUTED,
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
        _wide_concat,
    ),
    KnownFault(
        "whole-height-slices",
        "convolution in height slices, one of which takes every row, of a width that is no "
        "multiple of 32 before or after",
        "wrong numbers in most such shapes",
        "tt-metal 42667",
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
        _whole_height_slices,
    ),
    KnownFault(
        "pool-height-slices",
        "pool in height slices, output in tiles of a width that is no multiple of 32, padded on "
        "the left by a stride or more",
        "wrong numbers",
        _EXECUTED,
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
        _pool_height_slices,
    ),
    KnownFault(
        "upsample-wide-shards",
        "nearest upsampling of BLOCK shards in one column that is wider than the channels",
        "pixels out of order",
        _EXECUTED,
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
        _upsampled_wide_shards,
    ),
    KnownFault(
        "depthwise-row-block",
        "depthwise convolution of an image of one row without bias on BLOCK shards",
        "does not compile, or does not end",
        "tt-mlir 9276",
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
        _depthwise_row_of_blocks,
    ),
    KnownFault(
        "depthwise-row-tables",
        "depthwise convolution of an image of one row without bias, config tensors in DRAM",
        "zeros or wrong numbers; hangs a card",
        "tt-metal 47799",
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
        _depthwise_row_of_tables,
    ),
    KnownFault(
        "activation-reuse-in-parts",
        "convolution with activation reuse whose activation block is a part of the shard",
        "reads beyond L1: the simulator stops",
        _EXECUTED,
        ("", "0.81.1"),
        _BOTH,
        (WORMHOLE,),
        _reuse_in_parts,
    ),
    KnownFault(
        "fused-hardswish",
        "hardswish fused into a convolution, addition or multiplication is left out",
        "no hardswish; it is run after the layer instead",
        _EXECUTED,
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
    ),
    KnownFault(
        "padding-channels",
        "convolution with bfloat8_b output whose input channels are no multiple of 16 and whose "
        "padding channels hold something",
        "channels that share its exponent become 0; the output is bfloat16 instead where the input "
        "may hold something there",
        _EXECUTED,
        ("", "0.81.1"),
        _BOTH,
        _BOTH,
    ),
    KnownFault(
        "max-pool-after-convolution",
        "max pool on HEIGHT shards straight from a convolution",
        "hangs a card, as reported; right on the simulator, so that nothing is left out",
        "tt-metal 34970",
        ("", ""),
        (BLACKHOLE,),
        (),
    ),
    KnownFault(
        "sharded-concat-of-many",
        "concat of more than 16 tensors in shards",
        "refused by ttnn itself since 0.81",
        "tt-metal 56824",
        ("", ""),
        _BOTH,
        (),
    ),
    KnownFault(
        "ragged-block-concat",
        "concat of BLOCK shards that do not divide their channels",
        "wrong numbers, as reported; right on the simulator where ttnn takes it",
        "tt-metal 56827",
        ("", ""),
        _BOTH,
        (),
    ),
    KnownFault(
        "transposed-shards",
        "BLOCK shards in column-major order",
        "right, and up to twice as slow: never tried first",
        "tt-metal 23253",
        ("", ""),
        _BOTH,
        (),
    ),
    KnownFault(
        "uneven-activation-blocks",
        "activation blocks that do not divide a core's rows",
        "wrong numbers, as reported; right on the simulator, so that nothing is left out",
        "tt-metal 16190",
        ("", ""),
        _BOTH,
        (),
    ),
)
