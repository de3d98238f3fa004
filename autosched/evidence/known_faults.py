"""Configurations that ttnn takes and whose kernels compute wrong, hang or do not compile.

Most were found by executing ttnn's kernels on Tenstorrent's functional simulator; others are
reported in public threads.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from autosched.evidence import fault_rules
from autosched.evidence.fault_rules import Executable
from autosched.network.graph import Network
from autosched.network.narrow_images import (
    as_told,
    side_by_side,
    slides_down_a_column,
    turned_shape,
)
from autosched.network.operators import Convolution
from autosched.schedule.configurations import Conv2dConfig
from autosched.schedule.outcomes import DeviceOp
from autosched.schedule.schedule import Schedule

WORMHOLE, BLACKHOLE = "wormhole_b0", "blackhole"
_BOTH = (WORMHOLE, BLACKHOLE)
_EXECUTED = "executed on the simulator with ttnn 0.81.1"


@dataclass(frozen=True)
class KnownFault:
    """One kind of candidate that is known to go wrong.

    ``versions`` are the first and the last ttnn release that has it, "" where nobody knows: what is
    not known to be mended is taken to be there. ``confirmed`` are the architectures on which the
    simulator showed it. Where ``applies`` is None, nothing is left out for it, as ``consequence``
    says.
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
    """Return what is known to go wrong with a candidate, by what ttnn is told of it."""
    candidate = _as_told(candidate)
    return [
        fault
        for fault in KNOWN_FAULTS
        if fault.applies is not None
        and fault.holds_for(arch, ttnn_version)
        and fault.applies(candidate)
    ]


def _as_told(candidate: Executable) -> Executable:
    op, shapes, shape = candidate.op, candidate.input_shapes, candidate.shape
    if shapes and slides_down_a_column(op, shapes[0]):
        op, first = as_told(op, shapes[0])
        shapes, shape = (first, *shapes[1:]), turned_shape(shape)
    config = candidate.config
    if isinstance(config, Conv2dConfig) and isinstance(op, Convolution):
        wide = side_by_side(op, shapes[0]) if config.output_memory == "dram" else None
        if wide is not None and not config.fold_input:
            op, shapes = wide.op, (wide.shape,)
            shape = (1, shape[1], shape[2], shape[0] * wide.outputs)
    return replace(candidate, op=op, input_shapes=shapes, shape=shape)


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


KNOWN_FAULTS = (
    KnownFault(
        "transposed-full-inner-dim",
        "transposed convolution on BLOCK shards with full_inner_dim, kernels of several rows",
        "wrong numbers, which vary",
        _EXECUTED,
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.transposed_full_inner_dim,
    ),
    KnownFault(
        "block-few-inner-blocks",
        "convolution on BLOCK shards of several columns, output bfloat8_b or sums in "
        "float32, packer_l1_acc: one inner block with a bias, two without",
        "infinite and wrong numbers",
        f"{_EXECUTED}; tt-metal 57353 and 52572 report the like",
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.few_inner_blocks,
    ),
    KnownFault(
        "wide-concat",
        "concat of two tensors in HEIGHT shards of bfloat8_b tiles, one of the three 9 to 16 tiles "
        "wide",
        "wrong tile columns in most such shapes",
        _EXECUTED,
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.wide_concat,
    ),
    KnownFault(
        "whole-height-slices",
        "convolution in height slices, one of which takes every row, of a width that is no "
        "multiple of 32 before or after",
        "wrong numbers in most such shapes",
        "tt-metal 42667",
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.whole_height_slices,
    ),
    KnownFault(
        "pool-height-slices",
        "pool in height slices, output in tiles of a width that is no multiple of 32, padded on "
        "the left by a stride or more",
        "wrong numbers",
        _EXECUTED,
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.pool_height_slices,
    ),
    KnownFault(
        "upsample-wide-shards",
        "nearest upsampling of BLOCK shards in one column that is wider than the channels",
        "pixels out of order",
        _EXECUTED,
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.upsampled_wide_shards,
    ),
    KnownFault(
        "upsample-by-columns",
        "nearest upsampling of BLOCK shards that go down the columns of cores, but for full shards "
        "of as many rows as columns of cores",
        "pixels out of order, or whatever the memory held",
        _EXECUTED,
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.upsampled_by_columns,
    ),
    KnownFault(
        "depthwise-row-block",
        "depthwise convolution of an image of one row without bias on BLOCK shards",
        "does not compile, or does not end",
        "tt-mlir 9276",
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.depthwise_row_of_blocks,
    ),
    KnownFault(
        "depthwise-row-tables",
        "depthwise convolution of an image of one row without bias, config tensors in DRAM",
        "zeros or wrong numbers; hangs a card",
        "tt-metal 47799",
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.depthwise_row_of_tables,
    ),
    KnownFault(
        "scale-of-a-row",
        "depthwise 1x1 convolution of an image of one row or column without bias",
        "wrong numbers (a network read today has a bias of zeros there)",
        _EXECUTED,
        ("", ""),
        _BOTH,
        (WORMHOLE,),
        fault_rules.scale_of_a_row,
    ),
    KnownFault(
        "activation-reuse-in-parts",
        "convolution with activation reuse in several blocks a core where the last core has less "
        "or a block is less than two rows, in one of ragged rows, or of an image narrower than 20",
        "wrong numbers, a hang, or reads beyond L1: the simulator stops",
        _EXECUTED,
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.reuse_in_parts,
    ),
    KnownFault(
        "float-sums-read-again",
        "matrix product in several blocks of its inner dimension with float32 sums, without bias "
        "or without packer_l1_acc",
        "float32 sums are read into the matrix engine, which the simulator calls undefined",
        _EXECUTED,
        ("", ""),
        (WORMHOLE,),
        (WORMHOLE,),
        fault_rules.float_sums_read_again,
    ),
    KnownFault(
        "fused-hardswish",
        "hardswish fused into a convolution, addition or multiplication is left out",
        "no hardswish; it runs after them, and trials of former versions are rejected",
        _EXECUTED,
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.fused_hardswish,
    ),
    KnownFault(
        "padding-channels",
        "convolution with bfloat8_b output whose input channels are no multiple of 16 and whose "
        "padding channels hold something",
        "channels that share its exponent become 0; the output is bfloat16 instead where the input "
        "may hold something there",
        _EXECUTED,
        ("", ""),
        _BOTH,
        _BOTH,
    ),
    KnownFault(
        "moved-filled-rows",
        "rows of pixels that a convolution filled up with channels, brought into another layout or "
        "made of one",
        "wrong numbers that vary; what reads them takes them where they are",
        _EXECUTED,
        ("", ""),
        _BOTH,
        (WORMHOLE,),
    ),
    KnownFault(
        "reshaped-padding-channels",
        "convolution with bfloat8_b output whose input channels are no multiple of 16, from tiles "
        "in DRAM that ttnn reshapes first",
        "channels that share an exponent with what the reshape left become 0",
        _EXECUTED,
        ("", ""),
        _BOTH,
        _BOTH,
        fault_rules.reshaped_padding,
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
