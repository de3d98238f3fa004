"""What is chosen for a layer: one configuration class a kind of layer."""

from dataclasses import dataclass, field, replace

from autosched.schedule.tensors import (
    DRAM_TILE,
    CoreRange,
    DataType,
    PageLayout,
    ShardLayout,
    TensorLayout,
    TextEnum,
)


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


@dataclass(frozen=True, order=True)
class Precision:
    """How a convolution's or linear layer's products are computed: what its sums depend on."""

    weights: DataType
    fidelity: Fidelity
    float32_sums: bool = False

    def __str__(self) -> str:
        return f"{self.weights} {self.fidelity}" + (" float32 sums" if self.float32_sums else "")


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
    ``output_page`` says whether its output is in tiles or in rows, which block floats cannot be.
    ``output_memory`` is "sharded" (as the convolution leaves it) or "dram" (interleaved in DRAM).
    ``fold_input`` first moves each stride's neighbourhood of pixels into the channels, so that the
    convolution runs with stride 1 (:mod:`autosched.network.stem_folding`).
    ``reallocate_halo_output`` moves the padded input to where the input was: what is asked where a
    convolution is rejected without, so that it is a choice only where that makes room.
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
    weights_dtype: DataType = DataType.BFLOAT8_B
    output_dtype: DataType = DataType.BFLOAT8_B
    output_page: PageLayout = PageLayout.TILE
    output_memory: str = "sharded"
    slicing: str = "l1_full"
    num_slices: int = 0
    fold_input: bool = False
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass(frozen=True)
class MatmulProgram:
    """How a matrix product is dealt to cores: one of ttnn's program configurations.

    ``kind`` says which operand a core sends to the others: "mcast_in0" (each computes some columns
    of the output), "mcast_in1" (some rows) or "mcast_2d" (a block, on a grid of its own rows and
    columns). ``grid`` is (columns, rows) of cores; all else is in tiles: ``in0_block_w`` of the
    inner dimension come in at once, a core computes ``per_core_m`` x ``per_core_n`` of the output,
    in blocks of ``out_subblock_h`` x ``out_subblock_w``.
    """

    kind: str
    grid: tuple[int, int]
    in0_block_w: int
    out_subblock_h: int
    out_subblock_w: int
    per_core_m: int
    per_core_n: int


MATMUL_KINDS = ("mcast_in0", "mcast_in1", "mcast_2d")
"""The kinds of programs."""


@dataclass(frozen=True)
class MatmulConfig:
    """How one linear layer runs.

    ``core_grid`` is (columns, rows) handed to ``ttnn.linear``, or None for ttnn's choice; with
    ``program`` it is that of the program.
    ``output`` is "dram", "l1" (interleaved) or "width"/"height"/"block" (sharded as the matmul
    leaves it).
    """

    core_grid: tuple[int, int] | None = None
    output: str = "dram"
    weights_dtype: DataType = DataType.BFLOAT8_B
    output_dtype: DataType = DataType.BFLOAT16
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    program: MatmulProgram | None = None


@dataclass(frozen=True)
class PoolConfig:
    """How one max, average or global pooling runs.

    ``shard_layout`` is applied to an interleaved input and None otherwise; ``output_memory`` is
    "sharded" or "dram". ``slicing`` and ``num_slices`` are a convolution's, of an input in DRAM:
    "auto" slices only if ttnn finds it necessary. ``reallocate_halo_output`` is a convolution's,
    and asked of every pool in slices.
    """

    shard_layout: ShardLayout | None = None
    output_page: PageLayout = PageLayout.TILE
    output_dtype: DataType = DataType.BFLOAT16
    output_memory: str = "sharded"
    reallocate_halo_output: bool = False
    slicing: str = "auto"
    num_slices: int = 0


@dataclass(frozen=True)
class EltwiseConfig:
    """How an addition, multiplication or activation runs, and where it leaves its output.

    ``output_dtype`` is the layout's format, said once more.
    """

    output_dtype: DataType = DataType.BFLOAT8_B
    layout: TensorLayout = field(default_factory=lambda: TensorLayout(dtype=DataType.BFLOAT8_B))


HOST_METHOD = "host"
"""The method of a layer that runs on the host."""
HOST_OUTPUT_METHOD = "host_output"
"""The method of one whose result stays on the host, for the caller."""


@dataclass(frozen=True)
class FixedConfig:
    """A layer without choices of its own beyond the layout it leaves its output in.

    An image handed back to the caller lies in PyTorch's order, as rows, whatever the page of
    ``output``. ``method`` names the way where there are several: "permute", "convert_to_hwc" or
    "transpose" (of tiles, in shards) for the input; "transpose" or "convert_to_chw" rather than a
    permutation of rows for an image handed back; "nhwc" or "device" for what comes or is handed
    back in the device's own order (:mod:`autosched.network.ends`), where ``output`` says;
    "composed" for a group norm made of means and products rather than ttnn's own; "host"
    for a layer that runs in PyTorch on the host; "host_output" where the result stays there, for
    the caller, and ``output`` says nothing. ``compute`` is of a product, softmax or norm; None
    leaves it to ttnn.

    Several images that are converted together, in or out, lie side by side: a channel's pixels of
    one follow those of the other, and some may fill up the last tile. It takes the host a view of
    them. They come in so where the cores of ``output`` have no equal parts of each image.
    """

    output: TensorLayout = DRAM_TILE
    method: str = ""
    compute: ComputeConfig | None = None


LayerConfig = Conv2dConfig | MatmulConfig | PoolConfig | EltwiseConfig | FixedConfig

SLICINGS = ("dram_height", "dram_width")
"""The parts in which ttnn can take an image from DRAM, one after the other."""


def precision_of(config: LayerConfig) -> Precision | None:
    """Return how a layer's products are computed; None of what has no weights."""
    if not isinstance(config, Conv2dConfig | MatmulConfig):
        return None
    compute = config.compute
    return Precision(config.weights_dtype, compute.math_fidelity, compute.fp32_dest_acc_en)


def with_precision(
    config: Conv2dConfig | MatmulConfig, precision: Precision
) -> Conv2dConfig | MatmulConfig:
    """Return a configuration whose products are computed otherwise."""
    compute = replace(
        config.compute,
        math_fidelity=precision.fidelity,
        fp32_dest_acc_en=precision.float32_sums,
    )
    return replace(config, weights_dtype=precision.weights, compute=compute)
