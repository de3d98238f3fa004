"""Rules for convolutions: of images, transposed, and of series as images of one column.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.fx import Node

from autosched.network.draft_graph import Draft
from autosched.network.graph import Weights
from autosched.network.operators import Conv2d, ConvTranspose2d, Padding, Pair
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.rules.views import CHANNELS, View

RULES = RuleBook()

# A matrix for parts of so many channels is no more work than bringing each part among the pixels.
_MOST_CHANNELS = 256


def pair(value: int | Sequence[int]) -> Pair:
    """Height and width of an argument that may be one number for both."""
    values = [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1])


def both_sides(value: Pair) -> Padding:
    """The same padding at both ends of height and width."""
    height, width = value
    return (height, height, width, width)


def with_ones(value: int | Sequence[int], node: Node, one: int) -> Pair:
    """An argument for height and width; of a series' operator for height, with ``one`` for width.

    ``one`` is what a column of width 1 takes: a kernel of 1, a padding of 0.
    """
    if not operator_name(node).endswith("1d"):
        return pair(value)
    return (value if isinstance(value, int) else value[0], one)


def as_image(lowering: Lowering, node: Node, source: Node) -> Draft:
    """The draft of an operator's input: (N, C, H, W), or a series (N, C, L) as (N, C, L, 1).

    Raises:
        Refusal: its shape is another.
    """
    view = lowering.view(source)
    if not operator_name(node).endswith("1d") or len(view.shape) != 3:
        return lowering.image(source)
    column = view.reshaped((*view.shape, 1))
    assert column is not None  # noqa: S101 - it only adds a dimension
    return lowering.graph.drafts[lowering.rearranged(source, column, suffix="column")]


# What a core holds of a series for one output grows with its kernel: at 256 there is no room.
_LONGEST = 64


def is_long(arguments: Mapping[str, Any], kernel: int) -> bool:
    """Whether a series is rather convolved by steps: its kernel is long, and whole steps."""
    (step,), (dilation,) = arguments["stride"], arguments["dilation"]
    is_plain = arguments["groups"] == dilation == 1 and not isinstance(arguments["padding"], str)
    return is_plain and step > 1 and kernel > _LONGEST and kernel % step == 0


def is_whole(arguments: Mapping[str, Any], image: Sequence[int], weight: Sequence[int]) -> bool:
    """Whether a kernel is as large as an image of one row and one channel: a linear layer of it.

    As an image, each pixel would be a row of its own, filled with 15 channels of zeros.
    """
    pads = arguments["padding"]
    is_padded = pads == "same" if isinstance(pads, str) else any(pads)
    is_row = math.prod(image[1:]) == image[-1] == weight[-1] > 1
    return is_row and list(image[1:]) == list(weight[1:]) and not is_padded


@RULES.rule("conv2d", "convolution", "conv1d")
def _convolution(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    if arguments.get("transposed"):
        return _transposed(lowering, node)
    if (groups := _of_groups(lowering, node)) is not None:
        return groups
    source = as_image(lowering, node, arguments["input"])
    weight = lowering.constant(arguments["weight"], "weight")
    bias = arguments["bias"]
    kernel = with_ones(weight.shape[2:], node, 1)
    if operator_name(node) == "conv1d" and is_long(arguments, weight.shape[2]):
        raise Refusal("its kernel is too long")
    if is_whole(arguments, shape_of(arguments["input"]), weight.shape):
        raise Refusal("its kernel is the image")
    dilation = with_ones(arguments["dilation"], node, 1)
    op = Conv2d(
        in_channels=source.shape[1],
        out_channels=weight.shape[0],
        kernel=kernel,
        stride=with_ones(arguments["stride"], node, 1),
        padding=_padding(arguments["padding"], node, kernel, dilation),
        dilation=dilation,
        groups=arguments["groups"],
        has_bias=bias is not None,
    )
    vector = None if bias is None else lowering.constant(bias, "bias")
    weights = Weights(weight.reshape(*weight.shape[:2], *kernel), vector)
    shape = (*shape_of(node), 1)[:4]
    key = lowering.add(node, op, [source.key], shape=shape, weights=weights)
    return View.whole(key, shape).without_trailing(len(shape_of(node)))


def _of_groups(lowering: Lowering, node: Node) -> View | None:
    """Lower a product of pixels whose channels are a part of a draft's: the same for each part.

    None where it is something else, or the matrix would be large.
    """
    arguments = lowering.arguments(node)
    view, weight = lowering.view(arguments["input"]), arguments["weight"]
    alike = view.keeps_images and view.trails_channels(1) and lowering.is_constant(weight)
    if not alike or view.base[CHANNELS] > _MOST_CHANNELS:
        return None
    weight = lowering.constant(weight, "weight")
    plain = (weight.shape[2:].numel(), arguments["groups"]) == (1, 1)
    if not plain or pair(arguments["stride"]) != (1, 1) or pair(arguments["padding"]) != (0, 0):
        return None
    groups = view.base[CHANNELS] // view.shape[1]
    matrix = torch.kron(torch.eye(groups), weight.flatten(1))
    bias = arguments["bias"]
    vector = None if bias is None else lowering.constant(bias, "bias").repeat(groups)
    result = view.with_inner(node.name, 1, len(weight))
    op = Conv2d(view.base[CHANNELS], len(matrix), (1, 1), has_bias=bias is not None)
    weights = Weights(matrix[:, :, None, None].contiguous(), vector)
    return result.of(lowering.add(node, op, [view.key], shape=result.base, weights=weights))


def _padding(padding: Any, node: Node, kernel: Pair, dilation: Pair) -> Padding:
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        # PyTorch puts the odd row or column at the end.
        height, width = (d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
        return (height // 2, height - height // 2, width // 2, width - width // 2)
    return both_sides(with_ones(padding, node, 0))


@RULES.rule("conv_transpose2d", "conv_transpose1d")
def _transposed(lowering: Lowering, node: Node) -> View:
    """Lower a transposed convolution; ``aten.convolution`` has the same arguments."""
    arguments = lowering.arguments(node)
    source = as_image(lowering, node, arguments["input"])
    weight = lowering.constant(arguments["weight"], "weight")
    if weight.dim() != len(shape_of(node)):
        raise Refusal(f"its weight has shape {tuple(weight.shape)}, not that of two dimensions")
    kernel, bias = with_ones(weight.shape[2:], node, 1), arguments["bias"]
    if operator_name(node) == "conv_transpose1d" and is_long(arguments, weight.shape[2]):
        raise Refusal("its kernel is too long")
    op = ConvTranspose2d(
        in_channels=source.shape[1],
        out_channels=weight.shape[1] * arguments["groups"],
        kernel=kernel,
        stride=with_ones(arguments["stride"], node, 1),
        padding=with_ones(arguments["padding"], node, 0),
        output_padding=with_ones(arguments["output_padding"], node, 0),
        dilation=with_ones(arguments["dilation"], node, 1),
        groups=arguments["groups"],
        has_bias=bias is not None,
    )
    vector = None if bias is None else lowering.constant(bias, "bias")
    weights = Weights(weight.reshape(*weight.shape[:2], *kernel), vector)
    shape = (*shape_of(node), 1)[:4]
    key = lowering.add(node, op, [source.key], shape=shape, weights=weights)
    return View.whole(key, shape).without_trailing(len(shape_of(node)))
