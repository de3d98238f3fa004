"""The words that all rooms share: layouts, layer configurations, schedules and outcomes.

Pure data. Everything here is frozen, compares by value, and turns into plain JSON and back with
:mod:`autosched.plain`. Nothing here imports torch, ttnn or a database.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from autosched.errors import ScheduleError


class TextEnum(str, Enum):
    """What ``enum.StrEnum`` is, which Python 3.10 lacks."""

    __str__ = str.__str__


class Memory(TextEnum):
    """Where a tensor's pages live."""

    DRAM = "dram"
    L1 = "l1"


class ShardLayout(TextEnum):
    """How a tensor is spread over cores (``ttnn.TensorMemoryLayout``)."""

    INTERLEAVED = "interleaved"
    HEIGHT = "height"
    WIDTH = "width"
    BLOCK = "block"


class PageLayout(TextEnum):
    """How a tensor's elements are ordered in a page (``ttnn.Layout``)."""

    TILE = "tile"
    ROW_MAJOR = "row_major"


class DataType(TextEnum):
    """Element formats (``ttnn.DataType``)."""

    BFLOAT16 = "bfloat16"
    BFLOAT8_B = "bfloat8_b"
    BFLOAT4_B = "bfloat4_b"
    FLOAT32 = "float32"
    UINT16 = "uint16"
    UINT32 = "uint32"
    INT32 = "int32"


class Fidelity(TextEnum):
    """Math fidelity: how many phases a multiplication takes (1, 2, 3 or 4)."""

    LOFI = "LoFi"
    HIFI2 = "HiFi2"
    HIFI3 = "HiFi3"
    HIFI4 = "HiFi4"

    @property
    def phases(self) -> int:
        """Number of passes over the mantissas."""
        return {"LoFi": 1, "HiFi2": 2, "HiFi3": 3, "HiFi4": 4}[self.value]


class TimeKind(TextEnum):
    """Whether a device timed it, or the cost model predicted it."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


class RejectionKind(TextEnum):
    """Why a device did not run a configuration."""

    INVALID = "invalid configuration"
    L1_OVERFLOW = "L1 overflow"
    CIRCULAR_BUFFER_OVERFLOW = "circular-buffer overflow"
    CIRCULAR_BUFFER_CLASH = "circular-buffer clash"
    LAYOUT_MISMATCH = "layout mismatch"
    HANG = "hang"
    CRASH = "crash"
    ACCURACY = "accuracy"


@dataclass(frozen=True, order=True)
class CoreRange:
    """A rectangle of cores, both corners included, in logical coordinates."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def cores(self) -> int:
        """Number of cores in the rectangle."""
        return (self.x1 - self.x0 + 1) * (self.y1 - self.y0 + 1)

    def __str__(self) -> str:
        return f"({self.x0},{self.y0})-({self.x1},{self.y1})"


# Bytes of one 32x32 tile; block-float formats add one shared exponent byte per 16 elements.
TILE_BYTES: Mapping[DataType, int] = {
    DataType.FLOAT32: 4096,
    DataType.UINT32: 4096,
    DataType.INT32: 4096,
    DataType.BFLOAT16: 2048,
    DataType.UINT16: 2048,
    DataType.BFLOAT8_B: 1088,
    DataType.BFLOAT4_B: 576,
}
_TILE = 32


@dataclass(frozen=True)
class TensorLayout:
    """Everything about where and how a tensor lies, apart from its logical shape.

    ``grid`` and ``shard_shape`` (rows, columns in elements) are set for sharded layouts only.
    """

    memory: Memory = Memory.DRAM
    sharding: ShardLayout = ShardLayout.INTERLEAVED
    dtype: DataType = DataType.BFLOAT16
    page: PageLayout = PageLayout.TILE
    grid: tuple[CoreRange, ...] = ()
    shard_shape: tuple[int, int] | None = None
    transposed: bool = False

    @property
    def is_sharded(self) -> bool:
        """Whether each core holds one shard."""
        return self.sharding is not ShardLayout.INTERLEAVED

    @property
    def cores(self) -> int:
        """Number of cores that hold a shard; 0 for interleaved tensors."""
        return sum(part.cores for part in self.grid)

    @property
    def shard_bytes(self) -> int:
        """L1 bytes per core of a sharded L1 tensor; 0 for anything else."""
        if self.memory is not Memory.L1 or self.shard_shape is None:
            return 0
        rows, columns = self.shard_shape
        if self.page is PageLayout.ROW_MAJOR:
            return rows * columns * TILE_BYTES[self.dtype] // (_TILE * _TILE)
        return -(-rows // _TILE) * -(-columns // _TILE) * TILE_BYTES[self.dtype]

    def __str__(self) -> str:
        place = f"{self.memory.value.upper()} {self.sharding.value}"
        if self.shard_shape is None:
            return f"{place} {self.dtype} {self.page}"
        rows, columns = self.shard_shape
        return f"{place} {self.cores} cores of {rows}x{columns} {self.dtype} {self.page}"


DRAM_TILE = TensorLayout()
"""bfloat16 tiles interleaved in DRAM: the layout every ttnn op accepts."""


@dataclass(frozen=True)
class ComputeConfig:
    """``ttnn.DeviceComputeKernelConfig``: how the matrix engine multiplies and accumulates."""

    math_fidelity: Fidelity = Fidelity.LOFI
    math_approx_mode: bool = True
    fp32_dest_acc_en: bool = False
    packer_l1_acc: bool = True


@dataclass(frozen=True)
class Conv2dConfig:
    """How one convolution runs: ``ttnn.Conv2dConfig`` with its compute and slice configuration.

    ``shard_layout`` None leaves the choice to ttnn. ``slicing`` is "l1_full" (the whole image in
    L1), "auto" (ttnn slices a DRAM input as it sees fit), or "dram_height" or "dram_width" (one
    after the other, ``num_slices`` parts of its height or width; 0: as few as ttnn finds to fit).
    ``output_memory`` is "sharded" (as the convolution leaves it) or "dram" (interleaved in DRAM).
    ``fold_input`` first moves each stride's neighbourhood of pixels into the channels, so that the
    convolution runs with stride 1 (:mod:`autosched.network.stem_folding`).
    ``deallocate_activation`` follows from liveness when a schedule is built; probes free their
    input.
    """

    shard_layout: ShardLayout | None = None
    act_block_h_override: int = 0
    act_block_w_div: int = 1
    enable_act_double_buffer: bool = False
    enable_weights_double_buffer: bool = False
    full_inner_dim: bool = False
    enable_activation_reuse: bool = False
    force_split_reader: bool | None = None
    config_tensors_in_dram: bool = False
    core_grid: tuple[CoreRange, ...] = ()
    transpose_shards: bool = False
    enable_kernel_stride_folding: bool | None = None
    reallocate_halo_output: bool = False
    deallocate_activation: bool = True
    weights_dtype: DataType = DataType.BFLOAT8_B
    output_dtype: DataType = DataType.BFLOAT8_B
    output_memory: str = "sharded"
    slicing: str = "l1_full"
    num_slices: int = 0
    fold_input: bool = False
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass(frozen=True)
class MatmulConfig:
    """How one linear layer runs.

    ``core_grid`` is (columns, rows) handed to ``ttnn.linear``, or None for ttnn's choice.
    ``output`` is "dram", "l1" (interleaved) or "width"/"height"/"block" (sharded as the matmul
    leaves it).
    """

    core_grid: tuple[int, int] | None = None
    output: str = "dram"
    weights_dtype: DataType = DataType.BFLOAT8_B
    output_dtype: DataType = DataType.BFLOAT16
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass(frozen=True)
class PoolConfig:
    """How one max, average or global pooling runs.

    ``shard_layout`` is applied to an interleaved input and None otherwise; ``output_memory`` is
    "sharded" or "dram". ``slicing`` and ``num_slices`` are a convolution's, of an input in DRAM:
    "auto" slices only if ttnn finds it necessary.
    """

    shard_layout: ShardLayout | None = None
    output_page: PageLayout = PageLayout.TILE
    output_dtype: DataType = DataType.BFLOAT16
    output_memory: str = "sharded"
    reallocate_halo_output: bool = False
    deallocate_input: bool = True
    slicing: str = "auto"
    num_slices: int = 0


@dataclass(frozen=True)
class EltwiseConfig:
    """How an addition, multiplication or activation runs: in the layout of its first input."""

    output_dtype: DataType = DataType.BFLOAT8_B
    layout: TensorLayout = DRAM_TILE


HOST_METHOD = "host"
"""The method of a layer that runs on the host."""


@dataclass(frozen=True)
class FixedConfig:
    """A layer without choices of its own beyond the layout it leaves its output in.

    ``method`` names the way where there are several: "permute" or "convert_to_hwc" for the input,
    "host" for a layer that runs in PyTorch on the host.
    """

    output: TensorLayout = DRAM_TILE
    method: str = ""


LayerConfig = Conv2dConfig | MatmulConfig | PoolConfig | EltwiseConfig | FixedConfig


@dataclass(frozen=True)
class Edge:
    """The use of ``producer``'s output as input number ``index`` of ``consumer``."""

    producer: str
    consumer: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.producer} -> {self.consumer}" + (f"#{self.index}" if self.index else "")

    @classmethod
    def parse(cls, text: str) -> "Edge":
        """Read back what ``str`` wrote.

        Raises:
            ScheduleError: if it is not of the form "producer -> consumer" or "... -> consumer#1".
        """
        producer, arrow, rest = text.partition(" -> ")
        consumer, _, index = rest.partition("#")
        if not arrow or not (index or "0").isdecimal():
            raise ScheduleError(f"{text!r} is not an edge such as 'conv1 -> add#1'")
        return cls(producer, consumer, int(index or 0))


_MOVE = " (move)"


def move_label(edge: Edge) -> str:
    """Return what device ops of a move carry as their layer: ``conv1 -> add (move)``."""
    return f"{edge}{_MOVE}"


def labelled_edge(label: str) -> Edge:
    """Return the edge of a reshard's or move's label.

    Raises:
        ScheduleError: if it is not a label of an edge.
    """
    return Edge.parse(label.removesuffix(_MOVE))


@dataclass(frozen=True)
class Provenance:
    """Where a schedule comes from; every exported file carries it."""

    network: str
    network_signature: str
    board: str
    ttnn_version: str
    batch: int = 1
    study: str = ""
    trial: int | None = None
    latency_us: float | None = None
    latency_kind: TimeKind | None = None
    cost_model: str = ""
    date: str = ""


@dataclass(frozen=True)
class Schedule:
    """One joint choice for a whole network.

    ``layers`` maps a layer's name to its configuration, in execution order; ``reshards`` maps an
    edge to the layout its tensor is brought into before the consumer runs (absent: none), a copy
    for that consumer alone. ``moves`` maps an edge to the layout in which its tensor waits, once
    the consumer has run, for those that read it later: DRAM (a spill), or the layout it has (it
    is packed to the free end of L1). The edge from a layer to itself moves the tensor as soon as
    it is there; the consumer need not read the tensor.
    """

    provenance: Provenance
    layers: Mapping[str, LayerConfig]
    reshards: Mapping[Edge, TensorLayout] = field(default_factory=dict)
    moves: Mapping[Edge, TensorLayout] = field(default_factory=dict)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write the schedule to a Python module (``.py``) or JSON file (``.json``).

        Raises:
            ScheduleError: if the file cannot be written.
        """
        from autosched.export.saving import save_schedule  # noqa: PLC0415 - a room above

        return save_schedule(self, path)

    def fingerprint(self) -> str:
        """Return a digest of the choices and the execution order, the same for equal ones."""
        from autosched.plain import digest, fields_of  # noqa: PLC0415 - imports this module

        plain = fields_of(self)
        choices = {key: plain[key] for key in ("layers", "reshards", "moves")}
        return digest({**choices, "order": list(self.layers)})


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a device op: its logical shape and layout."""

    shape: tuple[int, ...]
    layout: TensorLayout


@dataclass(frozen=True)
class DeviceOp:
    """One program that ran on the device, as tt-metal's graph capture recorded it.

    ``code`` is the device operation's name (``Conv2dDeviceOperation``), ``attributes`` the text of
    its parameters, ``factory`` its program factory. ``cores`` and ``circular_buffer_bytes`` (per
    core, not counting those laid over tensors) come from its circular buffers. ``layer`` is the
    layer or edge it ran for.
    """

    code: str
    attributes: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    factory: str = ""
    cores: int = 0
    circular_buffer_bytes: int = 0
    layer: str = ""
    time_ns: float | None = None


@dataclass(frozen=True)
class Rejection:
    """A configuration the device did not run, with its own words."""

    kind: RejectionKind
    message: str
    layer: str = ""


@dataclass(frozen=True)
class ProbeOutcome:
    """One layer or reshard that ran alone on the device.

    ``input_layouts`` are the layouts it took without resharding, ``output_layout`` what it left.
    ``peak_l1_bytes`` is the worst sum per core of tensors and circular buffers, with inputs kept
    throughout; ``circular_buffer_bytes`` the largest program's circular buffers;
    ``scratch_bytes`` what circular buffers and temporary tensors (halo output) take at the peak
    beside inputs and output; that peak is lower by ``saved_by_freeing_bytes`` where the op may free
    its first input (0 in records of versions that did not look). ``time_us`` is a measurement on
    silicon and None on the mock device, where the cost model estimates it.
    """

    ops: tuple[DeviceOp, ...]
    input_layouts: tuple[TensorLayout, ...]
    output_layout: TensorLayout
    peak_l1_bytes: int = 0
    circular_buffer_bytes: int = 0
    scratch_bytes: int = 0
    time_us: float | None = None
    saved_by_freeing_bytes: int = 0


@dataclass(frozen=True)
class RunOutcome:
    """One forward pass of a whole network.

    ``output_layouts`` are the effective ones by layer. ``latency_us`` and its spread are set on
    silicon only.
    """

    ops: tuple[DeviceOp, ...]
    output_layouts: Mapping[str, TensorLayout]
    peak_l1_bytes: int = 0
    latency_us: float | None = None
    latency_std_us: float | None = None
