"""Which number formats and fidelity each layer gets, and what ttnn does with nothing but these.

What ttnn does when nobody chooses is the schedule every search starts from. Every tensor waits in
DRAM, interleaved; convolutions and pools get no configuration beyond the formats, so that ttnn
picks the sharding and slices what it finds too large.
"""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from autosched.boards import find_board
from autosched.network.graph import Layer, Network
from autosched.network.left_layouts import is_mean, joins_tiles, left_layout
from autosched.network.legal_values import COMPUTING
from autosched.network.operators import (
    Attention,
    Binary,
    Concat,
    ConcatRows,
    Conv2d,
    Convolution,
    ConvTranspose2d,
    DeviceInput,
    DeviceOutput,
    GlobalAvgPool2d,
    HostOp,
    HostOutput,
    Input,
    Linear,
    Matmul,
    Pool2d,
    Slice,
    Unary,
    is_pointwise,
)
from autosched.schedule.configurations import (
    HOST_METHOD,
    HOST_OUTPUT_METHOD,
    ComputeConfig,
    Conv2dConfig,
    EltwiseConfig,
    Fidelity,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
    Precision,
)
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import TILE, DataType, PageLayout, TensorLayout
from autosched.space.convolutions import in_slices
from autosched.space.formats import FIDELITY, OUTPUT, SUMS, WEIGHTS, FormatPin, Formats, read_format

_PRECISE = (Fidelity.HIFI3, Fidelity.HIFI4)
_SHARED_EXPONENT = 16
_POLES = ("recip", "rsqrt", "log", "log2", "log10")
_ZERO_AT_ZERO = (
    "relu", "relu6", "silu", "gelu", "gelu_tanh", "hardswish", "leaky_relu", "mish", "tanh", "elu",
    "selu", "abs", "sqrt", "square", "softsign", "sin",
)  # fmt: skip


class LayerFormats:
    """The formats of each layer of one network, by its place in it."""

    def __init__(self, network: Network, formats: Formats) -> None:
        self._formats = formats
        self._network = network
        self._ends = _end_layers(network)
        self._left: dict[str, TensorLayout] = {}
        self._pinned: dict[tuple[str, str], Any] = {
            (layer.name, pin.field): read_format(pin.field, pin.value)
            for pin in formats.pins
            for layer in network
            if fnmatchcase(layer.name, pin.pattern)
        }
        self._ragged = frozenset(layer.name for layer in network if _is_ragged(network, layer))
        self._unsafe = frozenset(
            layer.name for layer in network if _may_share_exponents(network, layer)
        ) | _read_at_a_pole(network)

    def input_shapes(self, layer: Layer) -> tuple[tuple[int, ...], ...]:
        """Return PyTorch's shapes of what a layer reads."""
        return self._network.input_shapes(layer)

    def dram_layout(self, layer: Layer) -> TensorLayout:
        """Return the layout in which a layer leaves its output in DRAM."""
        page = PageLayout.ROW_MAJOR if leaves_rows(layer) else PageLayout.TILE
        return TensorLayout(dtype=self.output_dtype(layer), page=page)

    def left_in_dram(self, layer: Layer) -> TensorLayout:
        """Return where a layer's output is when every tensor waits in DRAM and nobody chooses.

        Of layers that keep the format of their input it is that one.
        """
        found = self._left.get(layer.name)
        if found is None:
            producers = [self._network.by_name[name] for name in layer.inputs]
            inputs = [self.left_in_dram(producer) for producer in producers]
            shapes = self.input_shapes(layer)
            if isinstance(layer.op, Unary):
                found = inputs[0]
            elif isinstance(layer.op, Pool2d | GlobalAvgPool2d):
                found = self._pooled_in_dram(layer, inputs[0].dtype)
            elif isinstance(layer.op, Convolution):
                found = TensorLayout(dtype=self.dtype_from_dram(layer))
            else:
                found = left_layout(layer.op, shapes, layer.shape, inputs)
            self._left[layer.name] = found = found or self.dram_layout(layer)
        return found

    def _pooled_in_dram(self, layer: Layer, source: DataType) -> TensorLayout:
        """Return where a pool leaves its output; means of bfloat16 or whole tiles are reduced."""
        (shape,) = self.input_shapes(layer)
        whole = source is DataType.BFLOAT16 or not shape[2] * shape[3] % TILE
        is_reduced = is_mean(layer.op, shape) and whole
        return TensorLayout(dtype=source if is_reduced else self.output_dtype(layer))

    def output_dtype(self, layer: Layer) -> DataType:
        """Return the format of a layer's output.

        Rows have no block floats, and ttnn concatenates and cuts those in whole tiles only. The
        host hands on bfloat16.
        """
        formats = self._formats
        if leaves_rows(layer) or isinstance(layer.op, HostOp):
            return DataType.BFLOAT16
        if layer.name in self._ragged or layer.name in self._unsafe:
            return DataType.BFLOAT16
        own = formats.end_activations if layer.name in self._ends else formats.activations
        found: DataType = self._pinned.get((layer.name, OUTPUT), own)
        return found

    def dtype_from_dram(self, layer: Layer) -> DataType:
        """Return the format of a layer's output where it reads tiles in DRAM.

        ttnn reshapes a convolution's input there, which leaves anything in the channels that fill
        up a tile.
        """
        return DataType.BFLOAT16 if _shares_exponents(layer) else self.output_dtype(layer)

    def weights_dtype(self, layer: Layer) -> DataType:
        """Return the format of a layer's weights."""
        found: DataType = self._pinned.get((layer.name, WEIGHTS), self._formats.weights)
        return found

    def compute(self, layer: Layer) -> ComputeConfig:
        """Return a layer's compute-kernel configuration."""
        formats = self._formats
        fidelity = formats.end_fidelity if layer.name in self._ends else formats.fidelity
        sums = self._pinned.get((layer.name, SUMS), formats.fp32_accumulation)
        return ComputeConfig(
            math_fidelity=self._pinned.get((layer.name, FIDELITY), fidelity),
            fp32_dest_acc_en=sums and not _reads_sums_again(layer),
        )

    def precision(self, layer: Layer) -> Precision | None:
        """Return how a layer's products are computed, None if it has no weights."""
        if not isinstance(layer.op, Conv2d | ConvTranspose2d | Linear):
            return None
        compute = self.compute(layer)
        return Precision(self.weights_dtype(layer), compute.math_fidelity, compute.fp32_dest_acc_en)

    def permits(self, layer: Layer, precision: Precision) -> bool:
        """Return whether a layer's products may be computed so: pins and ttnn leave it."""
        if precision.float32_sums and _reads_sums_again(layer):
            return False
        asked = {
            WEIGHTS: precision.weights,
            FIDELITY: precision.fidelity,
            SUMS: precision.float32_sums,
        }
        return all(
            self._pinned.get((layer.name, field), value) == value for field, value in asked.items()
        )

    def pinned_output(self, layer: Layer) -> bool:
        """Return whether the format of a layer's output is pinned."""
        return (layer.name, OUTPUT) in self._pinned

    def as_left(self, layer: Layer, inputs: Sequence[TensorLayout]) -> FixedConfig:
        """Return the configuration that leaves a layer's output where ttnn does by itself."""
        left = left_layout(layer.op, self.input_shapes(layer), layer.shape, inputs)
        return self.fixed(layer, left or TensorLayout(dtype=self.output_dtype(layer)))

    def fixed(self, layer: Layer, output: TensorLayout) -> FixedConfig:
        """Return the configuration of a layer without choices but where it leaves its output.

        Products, softmax and norms are computed as ttnn has it, unless more is asked for: in its
        own way the exponentials of a softmax are approximate.
        """
        if isinstance(layer.op, DeviceInput | DeviceOutput):
            return FixedConfig(output=output, method=layer.op.order)
        formats = self._formats
        asked = formats.fp32_accumulation or formats.fidelity in _PRECISE
        if not asked or not isinstance(layer.op, COMPUTING):
            return FixedConfig(output=output)
        return FixedConfig(
            output=output,
            compute=ComputeConfig(
                math_fidelity=Fidelity.HIFI4,
                math_approx_mode=False,
                fp32_dest_acc_en=formats.fp32_accumulation and not _reads_sums_again(layer),
            ),
        )


# All others keep the format of what they read, or have the caller's.
_OF_OWN_FORMAT = (
    *(Conv2d, ConvTranspose2d, Linear, Binary),
    *(Pool2d, GlobalAvgPool2d, Concat),
)


def pins_of(schedule: Schedule, network: Network, formats: Formats) -> tuple[FormatPin, ...]:
    """Return what a search has to pin to have each layer in the formats of a schedule.

    That is what is otherwise in ``formats``, the search's. Where a layer cannot have the schedule's
    format, such as block floats in rows, nothing is pinned.
    """
    usual = LayerFormats(network, formats)
    asked = {}
    for layer in network:
        if not isinstance(layer.op, _OF_OWN_FORMAT):
            continue
        ours = _in_use(layer, usual)
        for field, value in _of_config(schedule.layers[layer.name]).items():
            if value != ours[field]:
                asked[layer, field] = FormatPin(layer.name, field, str(value).lower())
    pinned = LayerFormats(network, replace(formats, pins=tuple(asked.values())))
    return tuple(
        pin
        for (layer, field), pin in asked.items()
        if _in_use(layer, pinned)[field] == read_format(field, pin.value)
    )


def _in_use(layer: Layer, formats: LayerFormats) -> dict[str, object]:
    compute = formats.compute(layer)
    return {
        OUTPUT: formats.output_dtype(layer),
        WEIGHTS: formats.weights_dtype(layer),
        FIDELITY: compute.math_fidelity,
        SUMS: compute.fp32_dest_acc_en,
    }


def _of_config(config: LayerConfig) -> dict[str, object]:
    if isinstance(config, FixedConfig):
        return {OUTPUT: config.output.dtype}
    found: dict[str, object] = {OUTPUT: config.output_dtype}
    if isinstance(config, Conv2dConfig | MatmulConfig):
        found[WEIGHTS] = config.weights_dtype
        found[FIDELITY] = config.compute.math_fidelity
        found[SUMS] = config.compute.fp32_dest_acc_en
    return found


def _reads_sums_again(layer: Layer) -> bool:
    """Return whether a layer's sums are read again, to add a bias or the next part of the sum.

    Of float32 sums, the simulator calls what the unpacker then does undefined (ttnn 0.81.1).
    """
    op = layer.op
    return isinstance(op, Attention | Matmul) or (isinstance(op, Linear) and op.has_bias)


def host_config(layer: Layer, formats: LayerFormats) -> FixedConfig:
    """Return the one configuration of a host layer: its result is uploaded to DRAM, or stays."""
    if isinstance(layer.op, HostOutput):
        return FixedConfig(method=HOST_OUTPUT_METHOD)
    return FixedConfig(output=formats.dram_layout(layer), method=HOST_METHOD)


def leaves_rows(layer: Layer) -> bool:
    """Return whether a layer leaves its output in rows rather than tiles."""
    if isinstance(layer.op, Input):
        return len(layer.shape) == 4
    return layer.op.leaves_rows


def _is_ragged(network: Network, layer: Layer) -> bool:
    """Return whether channels are put together or cut at other places than edges of tiles."""
    if isinstance(layer.op, Concat):
        return any(shape[1] % TILE for shape in network.input_shapes(layer))
    if isinstance(layer.op, ConcatRows):
        return not joins_tiles(network.input_shapes(layer))
    return isinstance(layer.op, Slice) and bool(layer.op.start % TILE or layer.op.stop % TILE)


def _may_share_exponents(network: Network, layer: Layer) -> bool:
    """Return whether a convolution may read something from the channels that fill up a tile.

    With block floats as its output it tilizes its input into block floats, too, of which 16
    channels share an exponent: what lies beyond the last channel would make them 0.
    """
    return _shares_exponents(layer) and not leaves_zeros(network, network.by_name[layer.inputs[0]])


def _read_at_a_pole(network: Network) -> frozenset[str]:
    """Return the layers of which a function is taken that has no value at 0.

    It makes infinities of the zeros that fill up a tile, with which a function that keeps block
    floats would spoil the channels that share their exponent: seen on the simulator.
    """
    found: set[str] = set()
    for layer in reversed(network.layers):
        is_pole = isinstance(layer.op, Unary) and layer.op.activation.name in _POLES
        columns = layer.shape[1 if len(layer.shape) == 4 else -1] if layer.shape else 1
        if (is_pole and columns % _SHARED_EXPONENT) or (
            layer.name in found and isinstance(layer.op, Unary)
        ):
            found.update(layer.inputs)
    return frozenset(found)


def _shares_exponents(layer: Layer) -> bool:
    """Return whether a convolution tilizes channels that fill up a tile beside its own."""
    op = layer.op
    if not isinstance(op, Convolution) or is_pointwise(op):
        return False
    return bool(op.in_channels % _SHARED_EXPONENT)


def leaves_zeros(network: Network, layer: Layer) -> bool:
    """Return whether the channels that fill up a layer's last tile hold zeros.

    Seen on the simulator: convolutions, sums, products and concatenations write zeros there, if
    their activation makes 0 of 0. Rows, pools, reshapes and slices may leave anything.
    """
    if isinstance(layer.op, Conv2d | ConvTranspose2d | Unary | Binary):
        activation = layer.op.activation
        if activation is not None and activation.name not in _ZERO_AT_ZERO:
            return False
    if isinstance(layer.op, Conv2d | ConvTranspose2d):
        return True
    if isinstance(layer.op, Binary) and (
        layer.op.function == "div" or _is_per_image(network, layer)
    ):
        return False
    sources = [network.by_name[name] for name in layer.inputs]
    is_plain = isinstance(layer.op, Binary | Unary | Concat | ConcatRows)
    return is_plain and all(leaves_zeros(network, source) for source in sources)


def _is_per_image(network: Network, layer: Layer) -> bool:
    """Whether each image of a batch has a small operand of its own, which costs a reshape."""
    return layer.shape[0] > 1 and len(set(network.input_shapes(layer))) > 1


def _end_layers(network: Network) -> frozenset[str]:
    """Return the layers that no layer with weights precedes, or none follows."""
    after_weights: set[str] = set()
    for layer in network:
        if any(_passes_on(network, name, after_weights) for name in layer.inputs):
            after_weights.add(layer.name)
    before_weights: set[str] = set()
    for layer in reversed(network.layers):
        if layer.name in before_weights or isinstance(layer.op, Conv2d | ConvTranspose2d | Linear):
            before_weights.update(layer.inputs)
    inner = after_weights & before_weights
    return frozenset(layer.name for layer in network if layer.name not in inner)


def _passes_on(network: Network, name: str, marked: set[str]) -> bool:
    return name in marked or isinstance(network.by_name[name].op, Conv2d | ConvTranspose2d | Linear)


def conv2d_base(layer: Layer, formats: LayerFormats) -> Conv2dConfig:
    """Return a convolution's configuration with nothing but its formats."""
    return Conv2dConfig(
        weights_dtype=formats.weights_dtype(layer),
        output_dtype=formats.output_dtype(layer),
        compute=formats.compute(layer),
    )


def default_config(layer: Layer, formats: LayerFormats) -> LayerConfig:
    """Return the configuration under which ttnn decides everything but the formats."""
    dtype = formats.output_dtype(layer)
    op = layer.op
    if isinstance(op, HostOp):
        return host_config(layer, formats)
    if isinstance(op, Conv2d | ConvTranspose2d):
        base = conv2d_base(layer, formats)
        return in_slices(replace(base, output_dtype=formats.dtype_from_dram(layer)))
    if isinstance(op, Linear):
        return MatmulConfig(
            weights_dtype=formats.weights_dtype(layer),
            output_dtype=dtype,
            compute=formats.compute(layer),
        )
    if isinstance(op, Pool2d | GlobalAvgPool2d):
        return PoolConfig(
            output_dtype=formats.left_in_dram(layer).dtype,
            output_memory="dram",
            reallocate_halo_output=True,
        )
    if isinstance(op, Binary | Unary):
        dtype = formats.left_in_dram(layer).dtype
        return EltwiseConfig(output_dtype=dtype, layout=TensorLayout(dtype=dtype))
    return formats.fixed(layer, formats.left_in_dram(layer))


def default_schedule(network: Network, board: str, ttnn_version: str, formats: Formats) -> Schedule:
    """Return ttnn's default schedule of a network."""
    by_layer = LayerFormats(network, formats)
    return Schedule(
        Provenance(
            network.name,
            network.signature,
            board,
            ttnn_version,
            network.batch,
            find_board(board).grid,
            network.packing.images,
        ),
        {layer.name: default_config(layer, by_layer) for layer in network},
    )
