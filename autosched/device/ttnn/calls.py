"""Each layer as the ttnn calls that run it.

Images travel between layers as (1, 1, N*H*W, C), vectors as (1, 1, N, C): the shapes ttnn's
convolutions and matmuls take without a reshape.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import ttnn

from autosched.device.ttnn.ttnn_types import layout_of
from autosched.errors import DeviceError
from autosched.network.graph import Layer, Weights
from autosched.network.operators import (
    Constant,
    Conv2d,
    ConvTranspose2d,
    GroupNorm,
    LayerNorm,
    Linear,
)
from autosched.schedule.configurations import LayerConfig

if TYPE_CHECKING:
    from autosched.device.ttnn.runner import LayerRunner


Tensor = Any
_Type = TypeVar("_Type")


@dataclass(frozen=True)
class Call:
    """One layer to run: its configuration and its input tensors on the device."""

    lowering: "LayerRunner"
    layer: Layer
    config: LayerConfig
    inputs: Sequence[Tensor]

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
        return self.lowering.network.by_name[self.layer.inputs[0]].shape


def is_image(shape: Sequence[int]) -> bool:
    """Return whether a shape is an image's, (N, C, H, W), rather than a vector's."""
    return len(shape) == 4


def upload_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape in which an input of PyTorch's ``shape`` is put on the device.

    Images keep their order of elements as (1, N, C, H*W), vectors as (1, 1, N, features).
    """
    if is_image(shape):
        batch, channels, height, width = shape
        return (1, batch, channels, height * width)
    return (1, 1, math.prod(shape[:-1]), shape[-1])


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
    """Return parameters of the right shape for a layer whose values do not matter."""
    op = layer.op
    if isinstance(op, Conv2d):
        shape: tuple[int, ...] = (op.out_channels, op.in_channels // op.groups, *op.kernel)
        outputs = op.out_channels
    elif isinstance(op, ConvTranspose2d):
        shape = (op.in_channels, op.out_channels // op.groups, *op.kernel)
        outputs = op.out_channels
    elif isinstance(op, Linear):
        shape, outputs = (op.out_features, op.in_features), op.out_features
    elif isinstance(op, LayerNorm | GroupNorm):
        return Weights(torch.zeros(layer.shape[1]), torch.zeros(layer.shape[1]))
    elif isinstance(op, Constant):
        return Weights(torch.zeros(layer.shape))
    else:
        raise DeviceError(f"layer {layer.name} has no weights")
    return Weights(torch.zeros(shape), torch.zeros(outputs) if op.has_bias else None)


def remembered(
    call: Call, key: tuple[str, ...], make: Callable[[], tuple[Tensor, Tensor | None]]
) -> tuple[Tensor, Tensor]:
    found = call.lowering.recall(key)
    if found is None:
        found = make()
        call.lowering.remember(key, found)
    first, second = found
    return first, second


def reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return tiles of another shape, by way of DRAM where shards are in between."""
    if layout_of(tensor).is_sharded:
        tensor = ttnn.to_memory_config(tensor, ttnn.DRAM_MEMORY_CONFIG)
    return ttnn.to_layout(ttnn.reshape(tensor, shape), ttnn.TILE_LAYOUT)
