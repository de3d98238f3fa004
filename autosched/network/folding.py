"""Zero padding and batch norms folded into the convolutions and other layers beside them."""

import os
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from autosched.network.drafts import BatchNorm, Draft, DraftGraph, ZeroPad
from autosched.network.graph import (
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Linear,
    Pad,
    Padding,
    Pool2d,
    Reshape,
    Unary,
    Weights,
)

if TYPE_CHECKING:
    from torch import nn

# Activations whose values are never negative, so that a zero can never win a maximum.
_NON_NEGATIVE = ("relu", "relu6", "sigmoid", "hardsigmoid")


def fold_padding(graph: DraftGraph) -> None:
    """Merge each explicit zero padding into the layers that read it, where that is exact.

    What is left for other readers stays as a layer of its own.
    """
    for pad in graph:
        if not isinstance(pad.op, ZeroPad):
            continue
        for user in graph.users(pad.key):
            merged = _with_padding(graph, pad, user)
            if merged is not None:
                user.op, user.inputs = merged, list(pad.inputs)
        if graph.users(pad.key):
            pad.op = Pad(pad.op.padding)
        else:
            del graph.drafts[pad.key]


def _with_padding(graph: DraftGraph, pad: Draft, user: Draft) -> "Conv2d | Pool2d | ZeroPad | None":
    assert isinstance(pad.op, ZeroPad)  # noqa: S101 - narrows the type for mypy
    op = user.op
    if not isinstance(op, (Conv2d, Pool2d, ZeroPad)):
        return None
    top, bottom, left, right = (a + b for a, b in zip(pad.op.padding, op.padding, strict=True))
    padding = (top, bottom, left, right)
    if not isinstance(op, Pool2d):
        return replace(op, padding=padding)
    if op.ceil_mode:
        return None
    if op.mode == "avg":
        exact = op.count_include_pad or not any(op.padding)
        return replace(op, padding=padding, count_include_pad=True) if exact else None
    exact = _is_non_negative(graph, graph.producer(pad)) and _touches_image(op, padding)
    return replace(op, padding=padding) if exact else None


def _is_non_negative(graph: DraftGraph, draft: Draft) -> bool:
    while isinstance(draft.op, (Reshape, Pool2d, GlobalAvgPool2d, Pad, ZeroPad)):
        draft = graph.producer(draft)
    return isinstance(draft.op, Unary) and draft.op.activation.name in _NON_NEGATIVE


def _touches_image(op: Pool2d, padding: Padding) -> bool:
    """Whether every window holds a real pixel: one of padding alone would be 0, not -infinity."""
    height, width = op.kernel
    return op.dilation == (1, 1) and max(padding[:2]) < height and max(padding[2:]) < width


def fold_batch_norms(graph: DraftGraph) -> None:
    """Fold each batch norm into its producer; one without becomes a depthwise 1x1 convolution."""
    for draft in graph:
        if not isinstance(draft.op, BatchNorm):
            continue
        producer = graph.producer(draft)
        foldable = (Conv2d, ConvTranspose2d, Linear)
        if isinstance(producer.op, foldable) and graph.is_only_user(draft, producer):
            producer.weights = _folded(producer, draft.op.module)
            producer.op = replace(producer.op, has_bias=True)
            graph.absorb(draft)
        elif len(draft.shape) == 4:
            _become_convolution(draft, draft.op.module)
        else:
            reason = "on (N, features) it needs a linear layer of its own before it"
            graph.refuse(draft, "batch norm, or arithmetic with a constant", reason)


def _become_convolution(draft: Draft, norm: "nn.BatchNorm2d") -> None:
    channels = draft.shape[1]
    draft.op = Conv2d(channels, channels, (1, 1), groups=channels)
    draft.weights = Weights(torch.ones(channels, 1, 1, 1))
    draft.weights = _folded(draft, norm)


def _folded(draft: Draft, norm: "nn.BatchNorm2d") -> Weights:
    """Fold as ttnn does, which takes weights as (out, in, kernel height, kernel width)."""
    assert draft.weights is not None  # noqa: S101 - convolutions and linear layers have weights
    weight, op = draft.weights.weight, draft.op
    if isinstance(op, Linear):
        by_output = weight[:, :, None, None]
    elif isinstance(op, ConvTranspose2d):
        by_output = _groups_swapped(weight, op.groups)
    else:
        by_output = weight
    convolution = SimpleNamespace(weight=by_output, bias=draft.weights.bias)
    with torch.no_grad():
        folded, bias = _ttnn_preprocessing().fold_batch_norm2d_into_conv2d(convolution, norm)
    if isinstance(op, ConvTranspose2d):
        folded = _groups_swapped(folded, op.groups)
    return Weights(folded.reshape(weight.shape).contiguous(), bias.contiguous())


def _groups_swapped(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """Exchange (groups * a, b, ...) for (groups * b, a, ...): inputs for outputs in each group."""
    rows, columns, *kernel = weight.shape
    parts = weight.reshape(groups, rows // groups, columns, *kernel).transpose(1, 2)
    return parts.reshape(groups * columns, rows // groups, *kernel)


def _ttnn_preprocessing() -> Any:
    """Import ttnn when it is first needed (it takes seconds), without its log on the terminal."""
    os.environ.setdefault("LOGURU_LEVEL", "ERROR")
    os.environ.setdefault("TT_METAL_LOGGER_LEVEL", "off")
    import ttnn.model_preprocessing  # noqa: PLC0415

    return ttnn.model_preprocessing
