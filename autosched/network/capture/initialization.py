"""Untrained weights by which the output of every layer varies, so that a wrong one shows."""

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

_Module = TypeVar("_Module", bound=nn.Module)

# What lets positive values pass, and little of negative ones.
_RECTIFIERS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU),
    *(nn.SiLU, nn.GELU, nn.Hardswish, nn.Mish),
)
_SPREAD = 0.5


def init_unit_variance(
    module: _Module,
    *inputs: torch.Tensor,
    rectified_mean: float = 0.5,
    gains: Mapping[str, float] | None = None,
) -> _Module:
    """Scale random weights so that the output of every layer varies, and with it the network's.

    With the weights that PyTorch draws, activations fade or grow from layer to layer, biases
    outweigh features and gates hardly differ, so that a network's outputs say little about its
    layers. Here each convolution, linear layer and batch norm gets an output of unit variance, in
    one pass in which each reads what the scaled ones before it make: LSUV (Mishkin, Matas, "All You
    Need Is a Good Init", ICLR 2016), batch norms by their running statistics. Images and tokens are
    centred as well, each channel over all positions, by the bias or the batch norm. A vector has no
    positions; the weights of what makes it are centred instead, so that they sum to zero.

    What enters a ReLU or its like (a module, right behind its layer) has a mean of its own in each
    channel, drawn evenly from ``rectified_mean`` - 0.5 to ``rectified_mean`` + 0.5. At zero, small
    differences grow with every layer (Yang et al., "A Mean Field Theory of Batch Normalization",
    ICLR 2019); the more values are positive, the less rounding adds up, but the less a wrong layer
    shows, too. These means come from torch's own generator: a seed repeats the weights, to the last
    bit where PyTorch computes with as many threads.

    Args:
        module: A module with random weights, changed in place. A layer that the pass does not call
            stays as it is; one that is called several times is scaled by its first call.
        inputs: What the module takes, batch first, two or more at once and like those it is to run
            on. Images may be smaller; only what follows a global pooling depends on their size.
        rectified_mean: The mean of what a ReLU reads, in standard deviations.
        gains: Standard deviations other than 1, by patterns of the names of modules, as in
            ``{"*.query": 3}``; the first that matches counts.

    Returns:
        The module, in eval mode.

    Raises:
        ValueError: A layer has nothing to scale, being zero everywhere or not finite, or a pattern
            matches no layer.
    """
    module.eval()
    gains = gains or {}
    layers = {name: part for name, part in module.named_modules() if _has_scale(part)}
    for pattern in gains:
        if not any(fnmatchcase(name, pattern) for name in layers):
            raise ValueError(f"no convolution, linear layer or batch norm is named {pattern!r}")
    run = _Pass(rectified_mean)
    hooks = [
        layer.register_forward_hook(partial(run.scale, name, _gain(name, gains)))
        for name, layer in layers.items()
    ]
    hooks += [
        part.register_forward_pre_hook(run.shift)
        for part in module.modules()
        if isinstance(part, _RECTIFIERS)
    ]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return module


def _has_scale(part: nn.Module) -> bool:
    """Whether a module's weights or running statistics set the scale of its output."""
    if isinstance(part, _BatchNorm):
        return part.running_var is not None
    return isinstance(part, (_ConvNd, nn.Linear))


def _gain(name: str, gains: Mapping[str, float]) -> float:
    return next((gain for pattern, gain in gains.items() if fnmatchcase(name, pattern)), 1.0)


class _Pass:
    """One forward pass, in which every layer is changed before another reads its output."""

    def __init__(self, rectified_mean: float) -> None:
        self.rectified_mean = rectified_mean
        self.scaled: set[nn.Module] = set()
        self.layer: Any = None
        self.output: torch.Tensor | None = None

    def scale(
        self,
        name: str,
        gain: float,
        layer: Any,
        inputs: tuple[torch.Tensor, ...],
        output: torch.Tensor,
    ) -> torch.Tensor:
        """Give a layer's output the standard deviation ``gain``; a forward hook."""
        if layer in self.scaled:
            return output
        self.scaled.add(layer)
        is_norm = isinstance(layer, _BatchNorm)
        if _mixes_vectors(layer, output):
            layer.weight -= layer.weight.mean(1, keepdim=True)
            output = layer.forward(*inputs)
        values = inputs[0] if is_norm else output
        mean = _channel_means(layer, values)
        scale = (values - mean).square().mean().sqrt().item() / gain
        if not 0 < scale < math.inf:
            what = "the output of layer" if not is_norm else "the input of batch norm"
            raise ValueError(f"{what} {name} is zero everywhere, or not finite, on these inputs")
        if is_norm:
            layer.running_mean[:] = mean.flatten()
            layer.running_var[:] = scale**2
            output = layer.forward(values)
        else:
            layer.weight /= scale
            if layer.bias is not None:
                layer.bias -= mean.flatten()
                layer.bias /= scale
            output = (values - mean) / scale
        self.layer, self.output = layer, output
        return output

    def shift(self, _rectifier: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
        """Move what a rectifier reads straight from a layer; a forward pre-hook."""
        layer, output, self.output = self.layer, self.output, None
        if output is None or inputs[0] is not output or layer.bias is None:
            return None
        means = self.rectified_mean + _SPREAD * (2 * torch.rand_like(layer.bias) - 1)
        layer.bias += means
        return output + means.reshape([-1, *[1] * (output.dim() - 1 - _channel(layer, output))])


def _channel(layer: nn.Module, values: torch.Tensor) -> int:
    """Return the dimension of the channels."""
    return values.dim() - 1 if isinstance(layer, nn.Linear) else 1


def _has_positions(layer: nn.Module, values: torch.Tensor) -> bool:
    """Whether values are images or tokens rather than vectors."""
    return values.numel() > len(values) * values.shape[_channel(layer, values)]


def _mixes_vectors(layer: Any, output: torch.Tensor) -> bool:
    """Whether each output of a layer is a sum over several channels of a vector."""
    if isinstance(layer, (_BatchNorm, _ConvTransposeNd)) or _has_positions(layer, output):
        return False
    return bool(layer.weight.shape[1] > 1)


def _channel_means(layer: Any, values: torch.Tensor) -> torch.Tensor:
    """Return what to subtract of values, broadcastable to them; zero where nothing should be."""
    if _has_positions(layer, values) and (layer.bias is not None or isinstance(layer, _BatchNorm)):
        channel = _channel(layer, values)
        return values.mean([i for i in range(values.dim()) if i != channel], keepdim=True)
    return values.new_zeros([1] * values.dim())
