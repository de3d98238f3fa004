"""Rules for operators that enlarge images, or put them beside and cut them from each other.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

from collections.abc import Sequence
from typing import Any

from torch.fx import Node

from autosched.network.drafts import Draft, Unknown
from autosched.network.graph import (
    Concat,
    ConvTranspose2d,
    Pair,
    PixelShuffle,
    Slice,
    Upsample,
    Weights,
)
from autosched.network.lowering import Lowering, Refusal, RuleBook, operator_name, shape_of

RULES = RuleBook()

_SPLITS = ("split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_chunk", "tensor_split")


def pair(value: int | Sequence[int]) -> Pair:
    """Height and width of an argument that may be one number for both."""
    values = [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1])


@RULES.rule("conv_transpose2d")
def transposed_convolution(lowering: Lowering, node: Node) -> str:
    """Lower a transposed convolution; ``aten.convolution`` has the same arguments."""
    arguments = lowering.arguments(node)
    source = lowering.image(arguments["input"])
    weight = lowering.constant(arguments["weight"], "weight")
    bias = arguments["bias"]
    op = ConvTranspose2d(
        in_channels=source.shape[1],
        out_channels=weight.shape[1] * arguments["groups"],
        kernel=pair(weight.shape[2:]),
        stride=pair(arguments["stride"]),
        padding=pair(arguments["padding"]),
        output_padding=pair(arguments["output_padding"]),
        dilation=pair(arguments["dilation"]),
        groups=arguments["groups"],
        has_bias=bias is not None,
    )
    weights = Weights(weight, None if bias is None else lowering.constant(bias, "bias"))
    return lowering.add(node, op, [source.key], weights=weights)


@RULES.rule("cat", "concat", "concatenate")
def _concat(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    sources = [lowering.draft(source) for source in arguments["tensors"]]
    if len(sources) == 1:
        return sources[0].key
    _check_channels(sources[0], arguments["dim"], "are put one after the other")
    return lowering.add(node, Concat(), [source.key for source in sources])


def _check_channels(source: Draft, dim: int, what: str) -> None:
    rank = len(source.shape)
    if rank not in {2, 4} or dim % rank != 1:
        raise Refusal(
            f"only channels of (N, C, H, W) or features of (N, features) {what}, "
            f"not dimension {dim} of {source.shape}"
        )


@RULES.rule(*_SPLITS)
def _split(lowering: Lowering, node: Node) -> str:
    """Nothing yet: each part that is read is a slice of its own."""
    arguments = lowering.arguments(node)
    source = lowering.draft(arguments["self"])
    _check_channels(source, arguments["dim"], "are split")
    return source.key


@RULES.rule("getitem")
def _result(lowering: Lowering, node: Node) -> str:
    several, index = node.args
    assert isinstance(several, Node)  # noqa: S101 - narrows the types for mypy
    assert isinstance(index, int)  # noqa: S101
    source = lowering.draft(several)
    if source.op == Unknown():
        return source.key
    if operator_name(several) in _SPLITS:
        widths = [part.shape[1] for part in several.meta["val"]]
        start = sum(widths[:index])
        return _slice(lowering, node, source, start, start + widths[index])
    if index == 0:
        return source.key
    raise Refusal(f"result {index} of {operator_name(several)} is not available")


@RULES.rule("slice", "narrow")
def _cut(lowering: Lowering, node: Node) -> str:
    arguments = lowering.arguments(node)
    source = lowering.draft(arguments["self"])
    if shape_of(node) == source.shape:
        return source.key
    _check_channels(source, arguments["dim"], "are cut")
    if arguments.get("step", 1) != 1:
        raise Refusal("cutting every second channel, or fewer, has no layer")
    start = arguments["start"] or 0
    start += source.shape[1] if start < 0 else 0
    return _slice(lowering, node, source, start, start + shape_of(node)[1])


def _slice(lowering: Lowering, node: Node, source: Draft, start: int, stop: int) -> str:
    if (start, stop) == (0, source.shape[1]):
        return source.key
    return lowering.add(node, Slice(start, stop), [source.key])


@RULES.rule("upsample_nearest2d", "upsample_nearest_exact2d")
def _nearest(lowering: Lowering, node: Node) -> str:
    return _enlarged(lowering, node, "nearest")


@RULES.rule("upsample_bilinear2d")
def _bilinear(lowering: Lowering, node: Node) -> str:
    if lowering.arguments(node)["align_corners"] and not _is_constant(_source(lowering, node)):
        raise Refusal("ttnn interpolates with align_corners=False only; pass that")
    return _enlarged(lowering, node, "bilinear")


def _source(lowering: Lowering, node: Node) -> Draft:
    return lowering.image(node.all_input_nodes[0])


def _is_constant(source: Draft) -> bool:
    return source.shape[2:] == (1, 1)


def _enlarged(lowering: Lowering, node: Node, mode: str) -> str:
    source, target = _source(lowering, node), shape_of(node)
    if target == source.shape:
        return source.key
    return lowering.add(node, enlargement(source.shape, target, mode), [source.key])


def enlargement(before: tuple[int, ...], after: tuple[int, ...], mode: str) -> Upsample:
    """The layer that enlarges an image; a single pixel is repeated, whatever the mode.

    Raises:
        Refusal: the factors are no whole numbers.
    """
    (height, width), (rows, columns) = before[2:], after[2:]
    if rows % height or columns % width:
        raise Refusal(
            f"it resizes {height}x{width} to {rows}x{columns}; only whole factors have a layer"
        )
    mode = "nearest" if (height, width) == (1, 1) else mode
    return Upsample(mode, (rows // height, columns // width))


@RULES.rule("pixel_shuffle")
def _pixel_shuffle(lowering: Lowering, node: Node) -> str:
    arguments: dict[str, Any] = lowering.arguments(node)
    source = lowering.image(arguments["self"])
    return lowering.add(node, PixelShuffle(arguments["upscale_factor"]), [source.key])
