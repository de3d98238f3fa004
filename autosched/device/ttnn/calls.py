"""What the ttnn calls of all layers share.

Images travel between layers as (1, 1, N*H*W, C), vectors as (1, 1, N, C): the shapes ttnn's
convolutions and matmuls take without a reshape.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import ttnn

from autosched.boards import Board
from autosched.device.asked_layouts import check_brought
from autosched.device.rejections import LayoutMismatchError, RefusedError
from autosched.device.ttnn.graph_capture import FUSED_PREFIX
from autosched.device.ttnn.ttnn_types import (
    DATA_TYPES,
    PAGE_LAYOUTS,
    compute_config,
    layout_of,
    memory_config,
    unary,
)
from autosched.errors import DeviceError
from autosched.network.graph import Layer, Network, Weights
from autosched.network.operators import Activation
from autosched.schedule.configurations import (
    SLICINGS,
    Conv2dConfig,
    FixedConfig,
    LayerConfig,
    PoolConfig,
)
from autosched.schedule.tensors import DataType, Memory, TensorLayout

Tensor = Any
# ttnn 0.81.1 generates nothing in their place, in convolutions and functions of two tensors.
_LEFT_OUT_WHEN_FUSED = ("hardswish",)
_Type = TypeVar("_Type")


class Context:
    """What the calls of one network's layers share: an open ttnn device, the board, the weights.

    Weights are prepared on first use and kept by layer, configuration and input layout: ttnn
    silently accepts weights that were prepared for another layout, and computes nonsense.

    With ``runs_host_layers`` off, host layers move their tensors and hand on zeros. ``shapes`` are
    given where nothing executes: what was prepared before in another format is allocated then.
    """

    def __init__(
        self,
        device: Any,
        board: Board,
        network: Network,
        *,
        runs_host_layers: bool = True,
        shapes: "PreparedShapes | None" = None,
    ) -> None:
        self.device = device
        self.board = board
        self.network = network
        self.runs_host_layers = runs_host_layers
        self.shapes = shapes
        self._prepared: dict[Any, tuple[Tensor, Tensor | None]] = {}
        self._used: set[Any] = set()
        self._zeros: dict[str, Weights] = {}

    def weights(self, layer: Layer) -> Weights:
        """Return the layer's parameters; zeros where the network came without (a probe)."""
        found = self.network.weights.get(layer.name) or self._zeros.get(layer.name)
        if found is None:
            found = self._zeros[layer.name] = zero_weights(layer)
        return found

    def recall(self, key: Any) -> tuple[Tensor, Tensor | None] | None:
        """Return the weights prepared under ``key``, or None."""
        self._used.add(key)
        return self._prepared.get(key)

    def remember(self, key: Any, prepared: tuple[Tensor, Tensor | None]) -> None:
        """Keep weights on the device for the next run of the same configuration."""
        self._prepared[key] = prepared

    @contextmanager
    def keeping_weights(self) -> Iterator[None]:
        """Forget what the body prepares: in a dry run it has no memory on the device."""
        prepared = dict(self._prepared)
        try:
            yield
        finally:
            self._prepared = prepared

    def forget_unused_weights(self) -> None:
        """Drop prepared weights that no layer asked for since the last call."""
        self._prepared = {key: value for key, value in self._prepared.items() if key in self._used}
        self._used = set()


class PreparedShapes:
    """The shapes that prepared weights had, by what their form depends on beside their format.

    To prepare weights takes ttnn up to a tenth of a second; where no kernel reads them, tensors of
    the same shape do as well.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[tuple[Any, Any] | None, ...]] = {}

    def remember(self, form: Hashable, prepared: Iterable[Tensor | None]) -> None:
        """Note the shapes of what was prepared, with the padding."""
        self._known.setdefault(
            form,
            tuple(
                None if tensor is None else (tensor.shape, tensor.padded_shape)
                for tensor in prepared
            ),
        )

    def allocated(
        self, form: Hashable, dtype: DataType, device: Any
    ) -> tuple[Tensor, Tensor | None] | None:
        """Return weights and bias of a form in some format, None where it is not known."""
        known = self._known.get(form)
        if known is None:
            return None
        weight, bias = (
            None if shapes is None else _tiles(*shapes, dtype, device) for shapes in known
        )
        return weight, bias


def _tiles(shape: Any, padded: Any, dtype: DataType, device: Any) -> Tensor:
    tensor = ttnn.allocate_tensor_on_device(
        padded, DATA_TYPES[dtype], ttnn.TILE_LAYOUT, device, ttnn.DRAM_MEMORY_CONFIG
    )
    return tensor if shape == padded else ttnn.reshape(tensor, shape, padded)


@dataclass(frozen=True)
class Call:
    """One layer to run: its configuration and its input tensors on the device.

    Where it ``frees`` the first of them, a convolution or a pool does so in its midst.
    """

    context: Context
    layer: Layer
    config: LayerConfig
    inputs: Sequence[Tensor]
    frees: bool

    def op(self, kind: type[_Type]) -> _Type:
        """Return the layer's operator, known to be a ``kind``."""
        assert isinstance(self.layer.op, kind)  # noqa: S101 - dispatched by type
        return self.layer.op

    def config_of(self, kind: type[_Type]) -> _Type:
        """Return the configuration.

        Raises:
            DeviceError: if the schedule has another kind of configuration for this layer.
        """
        if not isinstance(self.config, kind):
            raise DeviceError(
                f"layer {self.layer.name} is a {type(self.layer.op).__name__} and takes a "
                f"{kind.__name__}, not a {type(self.config).__name__}"
            )
        return self.config

    @property
    def input_shape(self) -> tuple[int, ...]:
        """PyTorch's shape of the first input."""
        return self.context.network.by_name[self.layer.inputs[0]].shape


def refuse_slices_of_l1(config: Conv2dConfig | PoolConfig, tensor: Tensor) -> None:
    """Refuse what ttnn would ignore: slices of a tensor that is in L1 as a whole.

    Raises:
        RefusedError: naming the field and its legal values.
    """
    if config.slicing in SLICINGS and layout_of(tensor).memory is Memory.L1:
        legal = "l1_full or auto" if isinstance(config, Conv2dConfig) else "auto"
        raise RefusedError(f"slicing is {config.slicing!r}; legal is {legal} for an input in L1")


def _refuse_other_shards(config: PoolConfig, layout: TensorLayout) -> None:
    """Refuse to pool in another sharding than the input's, which ttnn keeps in silence."""
    if layout.is_sharded and config.shard_layout not in (None, layout.sharding):
        raise LayoutMismatchError(f"asked {config.shard_layout}, got {layout}, the input's")


def split_activation(
    activation: Activation | None,
) -> tuple[Activation | None, Activation | None]:
    """Return the activation that an operation fuses and the one that runs after it."""
    if activation is not None and activation.name in _LEFT_OUT_WHEN_FUSED:
        return None, activation
    return activation, None


@contextmanager
def fusing(function: Any) -> Iterator[None]:
    """Say in a capture which of ttnn's functions, if any, the call of the body computes or fuses.

    The graph names it neither for a convolution or matrix product nor for a chain of functions.
    """
    if function is None:
        yield
        return
    track(FUSED_PREFIX + function.op_type.name)
    try:
        yield
    finally:
        track(FUSED_PREFIX)


def track(name: str) -> None:
    """Leave a name in the graph that is captured, if one is."""
    ttnn._ttnn.graph.track_function_start(name)
    ttnn._ttnn.graph.track_function_end()


def activated(tensor: Tensor, activation: Activation | None) -> Tensor:
    """Return a tensor with an activation, in its own place and format."""
    if activation is None:
        return tensor
    function = unary(activation)
    with fusing(function):
        return ttnn.unary_chain(tensor, [function])


def flattened(tensor: Tensor) -> Tensor:
    """Return an image as the (1, 1, pixels, channels) in which layers take it.

    What was pooled in slices comes as (N, H, W, C). Convolutions and pools in slices take that, and
    others only after a copy, where the width is no multiple of a tile's.
    """
    shape = tuple(tensor.shape)
    flat = (1, 1, math.prod(shape[:-1]), shape[-1])
    return tensor if shape == flat else ttnn.reshape(tensor, flat)


def to_nchw(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return an image in PyTorch's order of elements, (N, C, H, W)."""
    batch, channels, height, width = shape
    tensor = ttnn.reshape(rows_in_dram(tensor), (batch, height, width, channels))
    return ttnn.permute(tensor, (0, 3, 1, 2))


def rows_in_dram(tensor: Tensor) -> Tensor:
    """Return a tensor as rows, interleaved in DRAM."""
    if layout_of(tensor).is_sharded:
        tensor = ttnn.to_memory_config(tensor, ttnn.DRAM_MEMORY_CONFIG)
    return ttnn.to_layout(tensor, ttnn.ROW_MAJOR_LAYOUT)


def zero_weights(layer: Layer) -> Weights:
    """Return parameters of the right shape for a layer whose values do not matter.

    Raises:
        DeviceError: if its operator has none.
    """
    shapes = layer.op.parameter_shapes(layer.shape)
    if shapes is None:
        raise DeviceError(f"layer {layer.name} has no weights")
    weight, bias = shapes
    return Weights(torch.zeros(weight), None if bias is None else torch.zeros(bias))


def reshard(tensor: Tensor, target: TensorLayout) -> Tensor:
    """Bring a tensor into another layout: pages, format and memory.

    Raises:
        RuntimeError: ttnn's own, when it refuses.
        LayoutMismatchError: if it ends in another one.
    """
    tensor = flattened(tensor)
    current = layout_of(tensor)
    if current.page is not target.page:
        tensor = ttnn.to_layout(tensor, PAGE_LAYOUTS[target.page])
    # to_memory_config changes the format only on its way into shards or out of them.
    if current.dtype is not target.dtype and target.is_sharded is current.is_sharded:
        tensor = ttnn.typecast(tensor, DATA_TYPES[target.dtype])
    dtype = DATA_TYPES[target.dtype] if layout_of(tensor).dtype is not target.dtype else None
    tensor = ttnn.to_memory_config(tensor, memory_config(target), dtype=dtype)
    check_brought(target, layout_of(tensor))
    return tensor


def move(tensor: Tensor, target: TensorLayout) -> Tensor:
    """Bring a waiting tensor into another layout, or pack it to the free end of L1."""
    if layout_of(tensor) == target:
        return ttnn.move(tensor)
    return reshard(tensor, target)


def fixed_compute(call: Call) -> ttnn.DeviceComputeKernelConfig | None:
    """Return how a product, softmax or norm computes; None leaves it to ttnn.

    Raises:
        DeviceError: if the schedule has another kind of configuration for this layer.
    """
    config = call.config_of(FixedConfig)
    return None if config.compute is None else compute_config(config.compute, call.context.board)


def remembered(
    call: Call, key: tuple[str, ...], make: Callable[[], tuple[Tensor, Tensor | None]]
) -> tuple[Tensor, Tensor]:
    """Return the tensors kept for a layer under ``key``, made at their first use."""
    found = call.context.recall(key)
    if found is None:
        found = make()
        call.context.remember(key, found)
    first, second = found
    return first, second


def reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return tiles of another shape, by way of DRAM where shards are in between."""
    if layout_of(tensor).is_sharded:
        tensor = ttnn.to_memory_config(tensor, ttnn.DRAM_MEMORY_CONFIG)
    return ttnn.to_layout(ttnn.reshape(tensor, shape), ttnn.TILE_LAYOUT)
