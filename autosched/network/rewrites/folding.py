"""Zero padding and batch norms folded into the convolutions and other layers beside them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from autosched.network.draft_graph import BatchNorm, Draft, DraftGraph, ZeroPad
from autosched.network.graph import Weights
from autosched.network.left_layouts import is_image
from autosched.network.operators import (
    ActivatedOutput,
    Activation,
    Binary,
    Concat,
    Constant,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Input,
    Linear,
    Output,
    Pad,
    Padding,
    PixelShuffle,
    Pool2d,
    Reshape,
    Slice,
    Unary,
)
from autosched.quiet import import_quietly

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
        if graph.users(pad.key) and pad.op.value:
            reason = "padding with minus infinity has a layer before max pooling alone"
            graph.refuse(pad, "aten.pad.default", reason)
        elif graph.users(pad.key):
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
    if isinstance(op, Pool2d):
        return _pool_with_padding(graph, pad, op, padding)
    is_exact = pad.op.value == (op.value if isinstance(op, ZeroPad) else 0.0)
    return replace(op, padding=padding) if is_exact else None


def _is_within_half(op: Pool2d, padding: Padding) -> bool:
    """Whether ttnn pools with that padding: up to half of the kernel."""
    height, width = (side // 2 for side in op.kernel)
    return max(padding[:2]) <= height and max(padding[2:]) <= width


def _pool_with_padding(
    graph: DraftGraph, pad: Draft, op: Pool2d, padding: Padding
) -> Pool2d | None:
    assert isinstance(pad.op, ZeroPad)  # noqa: S101 - narrows the type for mypy
    if op.ceil_mode or not (pad.op.value or _is_within_half(op, padding)):
        return None
    if op.mode == "avg":
        exact = not pad.op.value and (op.count_include_pad or not any(op.padding))
        return replace(op, padding=padding, count_include_pad=True) if exact else None
    never_wins = pad.op.value or _is_non_negative(graph, graph.producer(pad))
    return replace(op, padding=padding) if never_wins and _touches_image(op, padding) else None


def _is_non_negative(graph: DraftGraph, draft: Draft) -> bool:
    while isinstance(draft.op, (Reshape, Pool2d, GlobalAvgPool2d, Pad, ZeroPad)):
        draft = graph.producer(draft)
    return isinstance(draft.op, Unary) and draft.op.activation.name in _NON_NEGATIVE


def _touches_image(op: Pool2d, padding: Padding) -> bool:
    """Whether every window holds a real pixel: one of padding alone would be 0, not -infinity."""
    height, width = op.kernel
    return op.dilation == (1, 1) and max(padding[:2]) < height and max(padding[2:]) < width


def fold_batch_norms(graph: DraftGraph) -> None:
    """Fold each batch norm into its producer; one without becomes a depthwise 1x1 convolution.

    One of vectors is folded into the linear layers that read it, or becomes arithmetic.
    """
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
        elif _into_readers(graph, draft, draft.op.module):
            _bypass(graph, draft)
        else:
            _become_arithmetic(graph, draft, draft.op.module)


def _factors(norm: "nn.BatchNorm2d") -> tuple[torch.Tensor, torch.Tensor]:
    """The scale and the shift of each channel."""
    assert norm.running_mean is not None  # noqa: S101 - as of every BatchNorm draft
    assert norm.running_var is not None  # noqa: S101
    with torch.no_grad():
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        return scale, norm.bias - norm.running_mean * scale


def _into_readers(graph: DraftGraph, draft: Draft, norm: "nn.BatchNorm2d") -> bool:
    """Fold a norm of vectors into the linear layers after it, if nobody else reads it."""
    readers = graph.users(draft.key)
    if not readers or not all(isinstance(reader.op, Linear) for reader in readers):
        return False
    scale, shift = _factors(norm)
    for reader in readers:
        assert reader.weights is not None  # noqa: S101 - linear layers have weights
        assert isinstance(reader.op, Linear)  # noqa: S101 - as just checked
        weight, bias = reader.weights.weight, reader.weights.bias
        with torch.no_grad():
            moved = weight @ shift if bias is None else bias + weight @ shift
            reader.weights = Weights((weight * scale).contiguous(), moved.contiguous())
        reader.op = replace(reader.op, has_bias=True)
    return True


def _bypass(graph: DraftGraph, draft: Draft) -> None:
    """Remove a draft whose work its readers have taken over."""
    for reader in graph.users(draft.key):
        reader.inputs = [draft.inputs[0] if key == draft.key else key for key in reader.inputs]
    del graph.drafts[draft.key]


def _become_arithmetic(graph: DraftGraph, draft: Draft, norm: "nn.BatchNorm2d") -> None:
    """Turn a norm of vectors into a product and a sum, with numbers or with constant vectors."""
    scale, shift = _factors(norm)
    steps = [("mul", scale)] if bool((scale != 1).any()) or not bool(shift.any()) else []
    steps += [("add", shift)] if bool(shift.any()) else []
    source = draft.inputs[0]
    for number, (function, values) in enumerate(steps, 1):
        step = draft
        if number < len(steps):
            key, name = f"{draft.key}.{function}", f"{draft.name}.{function}"
            step = Draft(key, name, draft.op, [], draft.shape, draft.place)
            graph.insert(step, draft)
        step.op, step.inputs = _arithmetic(graph, step, function, values, source)
        source = step.key


def _arithmetic(
    graph: DraftGraph, step: Draft, function: str, values: torch.Tensor, source: str
) -> tuple[Unary | Binary, list[str]]:
    if bool((values == values[0]).all()):
        return Unary(Activation(f"{function}_unary_sfpu", (float(values[0]),))), [source]
    weights = Weights(values.expand(step.shape).contiguous())
    names = (f"{step.key}.values", f"{step.name}.values")
    constant = Draft(*names, Constant(), [], step.shape, step.place, weights)
    return Binary(function), [source, graph.insert(constant, step)]


def _become_convolution(draft: Draft, norm: "nn.BatchNorm2d") -> None:
    channels = draft.shape[1]
    draft.op = Conv2d(channels, channels, (1, 1), groups=channels)
    draft.weights = Weights(torch.ones(channels, 1, 1, 1))
    draft.weights = _folded(draft, norm)


def bias_scales(graph: DraftGraph) -> None:
    """Give what scales channels of an image of one row or column a bias of zeros.

    Without one, ttnn 0.81.1 prepares the weights for its depthwise convolution of a series, and
    multiplies by them as a matrix: more than 32 channels it refuses, fewer come out wrong.
    """
    for draft in graph:
        op = draft.op
        if not isinstance(op, Conv2d) or op.has_bias or op.kernel != (1, 1):
            continue
        is_scale = op.groups == op.in_channels == op.out_channels
        if is_scale and 1 in graph.producer(draft).shape[2:]:
            assert draft.weights is not None  # noqa: S101 - convolutions have weights
            draft.op = replace(op, has_bias=True)
            draft.weights = replace(draft.weights, bias=torch.zeros(op.out_channels))


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
    """Import ttnn when it is first needed."""
    return import_quietly("ttnn.model_preprocessing")


# x * gate(x) written out by hand is one activation.
_GATED = {"sigmoid": "silu", "hardsigmoid": "hardswish"}


def join_gates(graph: DraftGraph) -> None:
    """Turn x * sigmoid(x) into SiLU, and x * hardsigmoid(x) into hardswish."""
    for draft in graph:
        if draft.op != Binary("mul"):
            continue
        for index in (0, 1):
            gate, source = graph.drafts[draft.inputs[index]], draft.inputs[1 - index]
            if (
                isinstance(gate.op, Unary)
                and gate.inputs == [source]
                and gate.op.activation.name in _GATED
            ):
                draft.op = Unary(Activation(_GATED[gate.op.activation.name]))
                draft.inputs = [source]
                break


def rejoin_slices(graph: DraftGraph) -> None:
    """Let a concatenation of all slices of a tensor, in their order, read the tensor itself."""
    for draft in graph:
        if draft.op == Concat():
            draft.inputs = _rejoined(graph, draft.inputs)
            if len(draft.inputs) == 1:
                graph.absorb(draft)


def _rejoined(graph: DraftGraph, inputs: list[str]) -> list[str]:
    found: list[str] = []
    start = 0
    while start < len(inputs):
        source, end = inputs[start], start + 1
        for stop in range(start + 2, len(inputs) + 1):
            whole = _sliced_whole(graph, inputs[start:stop])
            if whole:
                source, end = whole, stop
        found.append(source)
        start = end
    return found


def _sliced_whole(graph: DraftGraph, keys: list[str]) -> str:
    """The tensor that these slices are all of, or ""."""
    source, reached = "", 0
    for key in keys:
        draft = graph.drafts[key]
        if not isinstance(draft.op, Slice) or draft.op.start != reached:
            return ""
        if source not in {"", draft.inputs[0]}:
            return ""
        source, reached = draft.inputs[0], draft.op.stop
    return source if reached == graph.drafts[source].shape[1] else ""


def nest_concats(graph: DraftGraph) -> None:
    """Let a concatenation that begins with all inputs of an earlier one read that one's output.

    A dense block concatenates ever longer lists; nested, each takes two tensors instead of all
    that came before, and those need not wait any longer.
    """
    by_inputs: dict[tuple[str, ...], str] = {}
    for draft in graph:
        if draft.op != Concat():
            continue
        inputs = tuple(draft.inputs)
        lengths = range(len(inputs) - 1, 1, -1)
        known = next((length for length in lengths if inputs[:length] in by_inputs), 0)
        if known:
            draft.inputs = [by_inputs[inputs[:known]], *inputs[known:]]
        by_inputs.setdefault(inputs, draft.key)


# What ttnn's convolutions and matmuls take as an activation; others run on their own.
_FUSED = (
    *("relu", "relu6", "silu", "gelu", "gelu_tanh", "sigmoid", "hardswish", "hardsigmoid"),
    *("leaky_relu", "mish", "tanh", "elu", "selu"),
)


def fuse_activations(graph: DraftGraph) -> None:
    """Fuse each activation into the convolution, linear or binary layer it alone reads."""
    fusing = (Conv2d, ConvTranspose2d, Linear, Binary)
    for draft in graph:
        if not isinstance(draft.op, Unary) or draft.op.activation.name not in _FUSED:
            continue
        producer = graph.producer(draft)
        if (
            isinstance(producer.op, fusing)
            and producer.op.activation is None
            and graph.is_only_user(draft, producer)
        ):
            producer.op = replace(producer.op, activation=draft.op.activation)
            graph.absorb(draft)


# Functions that take the vector engine hundreds of cycles for a tile, be it full or not.
_DEAR = ("silu", "gelu", "gelu_tanh", "sigmoid", "mish", "tanh", "elu", "selu")
# Where tiles are so empty, and so many, a function of an output waits for PyTorch's order.
_FEW_CHANNELS = 16
_MANY_PIXELS = 2**14


def activate_at_outputs(graph: DraftGraph) -> None:
    """Leave functions of images with few channels to the outputs that hand them back.

    What reads one beside an output keeps it where it is. So does a pixel shuffle, before which the
    channels are many.
    """
    for draft in graph:
        if type(draft.op) is not Output:
            continue
        last = graph.producer(draft)
        if (
            isinstance(last.op, Unary)
            and last.op.activation.name in _DEAR
            and graph.is_only_user(draft, last)
            and not isinstance(graph.producer(last).op, PixelShuffle)
            and _is_sparse(last.shape)
        ):
            draft.op = ActivatedOutput(last.op.activation)
            draft.inputs = list(last.inputs)
            # Nothing makes its values before they are handed back.
            del graph.drafts[last.key]


def _is_sparse(shape: tuple[int, ...]) -> bool:
    """Whether an image leaves most of each of many tiles empty."""
    if not is_image(shape):
        return False
    batch, channels, height, width = shape
    return channels <= _FEW_CHANNELS and batch * height * width >= _MANY_PIXELS


def remove_dead(graph: DraftGraph) -> None:
    """Drop every layer that no output depends on; the caller's inputs stay."""
    for draft in reversed(list(graph)):
        if not isinstance(draft.op, (Input, Output)) and not graph.users(draft.key):
            del graph.drafts[draft.key]
