"""Which values of a layer's configuration its operator has: what ttnn would ignore is refused.

A device is not asked. What depends on the layouts that tensors have when the layer runs, the
lowering refuses.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autosched.network.graph import Layer
from autosched.network.left_layouts import is_image
from autosched.network.operators import (
    NHWC,
    Attention,
    Binary,
    Conv2d,
    ConvTranspose2d,
    DeviceInput,
    DeviceOutput,
    GlobalAvgPool2d,
    GroupNorm,
    HostOp,
    HostOutput,
    Input,
    LayerNorm,
    Linear,
    Matmul,
    Output,
    Pool2d,
    Softmax,
    Unary,
    is_pointwise,
)
from autosched.network.stem_folding import may_have_one_window
from autosched.schedule.configurations import (
    HOST_METHOD,
    HOST_OUTPUT_METHOD,
    SLICINGS,
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.tensors import (
    DRAM_TILE,
    TILE,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)

CONVERT_TO_HWC = "convert_to_hwc"
CONVERT_TO_CHW, TRANSPOSE = "convert_to_chw", "transpose"
TRANSPOSE_ON_THE_WAY = "transpose_on_the_way"
"""Ways of an image's channels from last to first, besides a permutation of rows.

Tiles are turned in shards; on the way, they are made of rows as those come from DRAM, and rows of
them as they leave, in one op instead of two. Either is faster, by how many pixels a core has.
"""
TURNED_TILES = (TRANSPOSE, TRANSPOSE_ON_THE_WAY)
COMPOSED = "composed"
"""The way of a group norm by means and products, besides ttnn's own norm."""
_INPUT_METHODS = ("", "permute")
_MOST_CONVERTED = 16 * TILE
COMPUTING = (Attention, LayerNorm, Matmul, Softmax)
"""Operators without choices of their own whose products and sums have a fidelity."""
_CONFIGURATIONS: Mapping[type, type] = {
    Conv2d: Conv2dConfig,
    ConvTranspose2d: Conv2dConfig,
    Linear: MatmulConfig,
    Pool2d: PoolConfig,
    GlobalAvgPool2d: PoolConfig,
    Binary: EltwiseConfig,
    Unary: EltwiseConfig,
}
# What a matmul has not, as which a pointwise convolution runs.
_NOT_OF_A_MATMUL = (
    "enable_act_double_buffer",
    "enable_weights_double_buffer",
    "full_inner_dim",
    "enable_activation_reuse",
    "force_split_reader",
    "config_tensors_in_dram",
)
_NOT_WITHOUT_SHARDS = ("act_block_h_override", "core_grid")


@dataclass(frozen=True)
class Fault:
    """A field with an illegal value, and what it may be."""

    field: str
    value: object
    legal: str

    def __str__(self) -> str:
        shown = self.value if isinstance(self.value, int | float) else repr(str(self.value))
        return f"{self.field} is {shown}; legal is {self.legal}"


def config_type(layer: Layer) -> type:
    """Return the class of a layer's configurations."""
    return _CONFIGURATIONS.get(type(layer.op), FixedConfig)


def layer_faults(layer: Layer, config: LayerConfig) -> Iterator[Fault]:
    """Yield each value of ``config`` that the layer's operator does not have."""
    wanted = config_type(layer)
    if not isinstance(config, wanted):
        kind = type(layer.op).__name__
        words = f"a {wanted.__name__}, which a {kind} takes"
        yield Fault("its configuration", type(config).__name__, words)
    elif isinstance(config, Conv2dConfig):
        assert isinstance(layer.op, Conv2d | ConvTranspose2d)  # noqa: S101 - as its type says
        yield from _convolution_faults(layer.op, config)
        if config.fold_input and not _may_be_folded(layer):
            yield Fault("fold_input", True, "False without a stride, or one window")
    elif isinstance(config, PoolConfig):
        if isinstance(layer.op, GlobalAvgPool2d) and config.slicing in SLICINGS:
            yield Fault("slicing", config.slicing, "auto for the mean of a whole image")
    elif isinstance(config, EltwiseConfig):
        yield from eltwise_faults(config)
    elif isinstance(config, FixedConfig):
        yield from _fixed_faults(layer, config)


def eltwise_faults(config: EltwiseConfig) -> Iterator[Fault]:
    """Yield the second of two formats where a configuration names different ones."""
    if config.layout.dtype is not config.output_dtype:
        yield Fault("layout.dtype", config.layout.dtype, f"output_dtype, {config.output_dtype}")


def _convolution_faults(op: Conv2d | ConvTranspose2d, config: Conv2dConfig) -> Iterator[Fault]:
    if config.act_block_w_div != 1 and config.shard_layout is not ShardLayout.WIDTH:
        yield Fault("act_block_w_div", config.act_block_w_div, "1 without shard_layout width")
    if config.transpose_shards and config.shard_layout is not ShardLayout.BLOCK:
        yield Fault("transpose_shards", True, "False without shard_layout block")
    if config.enable_kernel_stride_folding and op.stride == (1, 1):
        yield Fault("enable_kernel_stride_folding", True, "False or None without a stride")
    if isinstance(op, ConvTranspose2d):
        yield from _transposed_faults(config)
    if is_pointwise(op) and config.shard_layout is not ShardLayout.WIDTH:
        yield from _matmul_faults(config)


def _may_be_folded(layer: Layer) -> bool:
    op, one_pixel = layer.op, layer.shape[2:] == (1, 1)
    if not isinstance(op, Conv2d):
        return True  # what a transposed one has not is said of it apart
    return op.stride != (1, 1) or (one_pixel and may_have_one_window(op))


def _transposed_faults(config: Conv2dConfig) -> Iterator[Fault]:
    """Yield what a transposed convolution has not: it runs without a stride of its own."""
    words = "False for a transposed convolution"
    for name in ("fold_input", "enable_kernel_stride_folding", "enable_activation_reuse"):
        if getattr(config, name):
            yield Fault(name, True, words)
    if config.full_inner_dim and config.shard_layout is not ShardLayout.BLOCK:
        yield Fault("full_inner_dim", True, f"{words} without shard_layout block")


def _matmul_faults(config: Conv2dConfig) -> Iterator[Fault]:
    """Yield what a 1x1 convolution has not: ttnn runs it as a matmul, unless in width shards."""
    default = Conv2dConfig()
    words = "for a 1x1 convolution without shard_layout width, which runs as a matmul"
    for name in _NOT_OF_A_MATMUL:
        if getattr(config, name) != getattr(default, name):
            yield Fault(name, getattr(config, name), f"{getattr(default, name)} {words}")
    if config.slicing in SLICINGS:
        yield Fault("slicing", config.slicing, f"l1_full or auto {words}")
    if config.shard_layout is None:
        for name in _NOT_WITHOUT_SHARDS:
            if getattr(config, name) != getattr(default, name):
                value, legal = getattr(config, name), getattr(default, name)
                yield Fault(name, value, f"{legal} {words} and has no shards")


def _fixed_faults(layer: Layer, config: FixedConfig) -> Iterator[Fault]:
    legal_ones = methods(layer)
    if config.method not in legal_ones:
        legal = " or ".join(repr(name) for name in legal_ones)
        yield Fault("method", config.method, f"{legal} for a {type(layer.op).__name__}")
    if config.compute is not None and not isinstance(layer.op, COMPUTING):
        yield Fault("compute", config.compute, f"None for a {type(layer.op).__name__}")
    if isinstance(layer.op, Input):
        yield from _input_faults(config)
    if isinstance(layer.op, HostOutput):
        if config.output != DRAM_TILE:
            legal = f"{DRAM_TILE}: the result stays on the host"
            yield Fault("output", config.output, legal)
    elif isinstance(layer.op, DeviceInput | DeviceOutput):
        rows = TensorLayout(page=PageLayout.ROW_MAJOR)
        if layer.op.order == NHWC and config.output != rows:
            yield Fault("output", config.output, f"{rows}, as the caller has it")
    elif isinstance(layer.op, Output) and is_image(layer.shape):
        yield from _image_output_faults(config.output)


def methods(layer: Layer) -> tuple[str, ...]:
    """Return the ways there are of a layer without other choices; "" is ttnn's own."""
    if isinstance(layer.op, HostOp):
        return (HOST_OUTPUT_METHOD if isinstance(layer.op, HostOutput) else HOST_METHOD,)
    if isinstance(layer.op, DeviceInput | DeviceOutput):
        return (layer.op.order,)
    if isinstance(layer.op, Input):
        of_images = (CONVERT_TO_HWC, *TURNED_TILES) if is_image(layer.shape) else ()
        return (*_INPUT_METHODS, *of_images)
    if isinstance(layer.op, Output) and is_image(layer.shape):
        return ("", *channels_first_methods(layer.shape))
    if isinstance(layer.op, GroupNorm) and not math.prod(layer.shape[2:]) % TILE:
        return ("", COMPOSED)
    return ("",)


def channels_first_methods(shape: Sequence[int]) -> tuple[str, ...]:
    """Return the ways of handing back an image (N, C, H, W) besides a permutation of its rows.

    All turn tiles, of all images together. ttnn's own conversion takes a tile's channels at a
    time, and each time costs two ops more.
    """
    few = shape[1] <= _MOST_CONVERTED
    return (*TURNED_TILES, CONVERT_TO_CHW) if few else TURNED_TILES


def _input_faults(config: FixedConfig) -> Iterator[Fault]:
    """Each way of turning an image leaves it in one kind of shards."""
    pages = {CONVERT_TO_HWC: PageLayout.ROW_MAJOR, **dict.fromkeys(TURNED_TILES, PageLayout.TILE)}
    if config.method not in pages:
        return
    page, asked = pages[config.method], config.output
    place = (asked.memory, asked.sharding, asked.page)
    if place != (Memory.L1, ShardLayout.HEIGHT, page) or not asked.grid:
        what = "rows" if page is PageLayout.ROW_MAJOR else "tiles"
        yield Fault("output", asked, f"height shards of {what} in L1 for {config.method}")


def _image_output_faults(asked: TensorLayout) -> Iterator[Fault]:
    """An image leaves the device in PyTorch's order, as interleaved rows of bfloat16."""
    default = TensorLayout()
    for name in ("sharding", "dtype", "page"):
        if getattr(asked, name) is not getattr(default, name):
            legal = f"{getattr(default, name)}: an image is handed back in PyTorch's order"
            yield Fault(f"output.{name}", getattr(asked, name), legal)
