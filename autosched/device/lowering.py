"""Runs single layers and reshards of one network on an open ttnn device."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import ttnn

from autosched.boards import Board
from autosched.device.convolution_calls import CONVOLUTION_LOWERINGS
from autosched.device.eltwise_calls import ELTWISE_LOWERINGS
from autosched.device.host_calls import HOST_LOWERINGS
from autosched.device.image_calls import IMAGE_LOWERINGS
from autosched.device.layer_calls import LOWERINGS, Call, flattened
from autosched.device.rearranging_calls import REARRANGING_LOWERINGS
from autosched.device.token_calls import TOKEN_LOWERINGS
from autosched.device.ttnn_types import (
    DATA_TYPES,
    PAGE_LAYOUTS,
    layout_of,
    memory_config,
)
from autosched.errors import DeviceError
from autosched.network.graph import (
    Constant,
    Conv2d,
    ConvTranspose2d,
    Crop,
    GlobalAvgPool2d,
    GroupNorm,
    Input,
    Layer,
    LayerNorm,
    Linear,
    Network,
    Output,
    Pad,
    PixelShuffle,
    Pool2d,
    Upsample,
    Weights,
)
from autosched.schedule import LayerConfig, TensorLayout

Tensor = Any

CALLS = {
    **LOWERINGS,
    **CONVOLUTION_LOWERINGS,
    **ELTWISE_LOWERINGS,
    **HOST_LOWERINGS,
    **IMAGE_LOWERINGS,
    **REARRANGING_LOWERINGS,
    **TOKEN_LOWERINGS,
}
"""The function that runs a layer, by the type of its operator."""

# These take an image as (N, H, W, C), too.
_TAKE_IMAGES = (
    Input,
    Output,
    Conv2d,
    ConvTranspose2d,
    Pool2d,
    GlobalAvgPool2d,
    Crop,
    Pad,
    PixelShuffle,
    Upsample,
)


class Lowering:
    """Runs single layers of one network on an open ttnn device.

    Weights are prepared on first use and kept by layer, configuration and input layout: ttnn
    silently accepts weights that were prepared for another layout, and computes nonsense.

    With ``runs_host_layers`` off, host layers move their tensors and hand on zeros.
    """

    def __init__(
        self, device: Any, board: Board, network: Network, *, runs_host_layers: bool = True
    ) -> None:
        self.device = device
        self.board = board
        self.network = network
        self.runs_host_layers = runs_host_layers
        self._prepared: dict[Any, tuple[Tensor, Tensor | None]] = {}
        self._used: set[Any] = set()

    def run(self, layer: Layer, config: LayerConfig, inputs: Sequence[Tensor]) -> Tensor:
        """Run one layer; the output's layout is whatever ttnn left.

        Raises:
            RuntimeError: ttnn's own, when it rejects the configuration.
        """
        if not isinstance(layer.op, _TAKE_IMAGES):
            inputs = [flattened(tensor) for tensor in inputs]
        return CALLS[type(layer.op)](Call(self, layer, config, inputs))

    def reshard(self, tensor: Tensor, target: TensorLayout) -> Tensor:
        """Bring a tensor into another layout: pages, format and memory."""
        tensor = flattened(tensor)
        current = layout_of(tensor)
        if current.page is not target.page:
            tensor = ttnn.to_layout(tensor, PAGE_LAYOUTS[target.page])
        # to_memory_config changes the format only on its way into shards or out of them.
        if current.dtype is not target.dtype and target.is_sharded is current.is_sharded:
            tensor = ttnn.typecast(tensor, DATA_TYPES[target.dtype])
        dtype = DATA_TYPES[target.dtype] if layout_of(tensor).dtype is not target.dtype else None
        return ttnn.to_memory_config(tensor, memory_config(target), dtype=dtype)

    def move(self, tensor: Tensor, target: TensorLayout) -> Tensor:
        """Bring a waiting tensor into another layout, or pack it to the free end of L1."""
        if layout_of(tensor) == target:
            return ttnn.move(tensor)
        return self.reshard(tensor, target)

    def weights(self, layer: Layer) -> Weights:
        """Return the layer's parameters; zeros where the network came without (a probe)."""
        found = self.network.weights.get(layer.name)
        return found if found is not None else zero_weights(layer)

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
