"""Rules for norms and softmax.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import torch
from torch import nn
from torch.fx import Node

from autosched.network.draft_graph import BatchNorm
from autosched.network.graph import Weights
from autosched.network.operators import (
    Activation,
    Concat,
    GroupNorm,
    LayerNorm,
    PlainGroupNorm,
    Slice,
    Softmax,
    Unary,
)
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name
from autosched.network.rules.views import CHANNELS, View

RULES = RuleBook()

# Of more groups of channels, each becomes pixels of its own.
_MOST_GROUPS = 8


@RULES.rule("batch_norm", "native_batch_norm_legit_no_training")
def _batch_norm(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    if arguments.get("training") or arguments["running_mean"] is None:
        raise Refusal("it normalises with the batch's own statistics (track_running_stats=False)")
    tensors = {
        name: lowering.constant(arguments[name], name)
        for name in ("running_mean", "running_var", "weight", "bias")
        if arguments[name] is not None
    }
    view = lowering.channels_at(arguments["input"], CHANNELS)
    return per_channel(lowering, node, view, tensors, arguments["eps"])


def per_channel(
    lowering: Lowering,
    node: Node,
    view: View,
    tensors: dict[str, torch.Tensor],
    eps: float,
    *,
    suffix: str = "",
) -> View:
    """Scale and shift the channels of a view's draft."""
    channels = view.base[CHANNELS]
    module = nn.BatchNorm2d(channels, eps=eps).eval().requires_grad_(requires_grad=False)
    for name, tensor in tensors.items():
        getattr(module, name).data = tensor.expand(channels).contiguous()
    key = lowering.add(node, BatchNorm(module), [view.key], shape=view.base, suffix=suffix)
    return view.of(key)


@RULES.rule("softmax", "softmin")
def _softmax(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    view = lowering.view(arguments["self"])
    dim = arguments["dim"] % len(view.dims)
    groups = view.base[CHANNELS] // view.shape[dim] if view.trails_channels(dim) else 1
    if not 1 < groups <= _MOST_GROUPS:
        view, groups = lowering.channels_at(arguments["self"], arguments["dim"]), 1
    key = view.key
    if operator_name(node) == "softmin":
        op = Unary(Activation("neg"))
        key = lowering.add(node, op, [key], shape=view.base, suffix="neg")
    if groups > 1:
        return view.of(_softmax_of_groups(lowering, node, view.of(key), groups))
    return view.of(lowering.add(node, Softmax(CHANNELS), [key], shape=view.base))


def _softmax_of_groups(lowering: Lowering, node: Node, view: View, groups: int) -> str:
    """A softmax of each group of channels, cut out and put beside the others again."""
    width = view.base[CHANNELS] // groups
    shape = (view.base[0], width, *view.base[2:])
    parts = []
    for number in range(groups):
        op = Slice(number * width, (number + 1) * width)
        part = lowering.add(node, op, [view.key], shape=shape, suffix=f"group{number}")
        parts.append(
            lowering.add(node, Softmax(CHANNELS), [part], shape=shape, suffix=f"softmax{number}")
        )
    return lowering.add(node, Concat(), parts, shape=view.base)


@RULES.rule("layer_norm", "native_layer_norm")
def _layer_norm(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    if len(arguments["normalized_shape"]) != 1:
        raise Refusal(
            f"it normalises over {len(arguments['normalized_shape'])} dimensions; a layer norm of "
            "the last dimension alone has a layer"
        )
    view = lowering.channels_at(arguments["input"], -1)
    return _norm(lowering, node, view, LayerNorm(arguments["eps"]))


@RULES.rule("instance_norm")
def _instance_norm(lowering: Lowering, node: Node) -> View:
    """Lower a norm of each channel of each image; with statistics of its own, a batch norm."""
    arguments = lowering.arguments(node)
    if not arguments["use_input_stats"]:
        return _batch_norm(lowering, node)
    view = lowering.channels_at(arguments["input"], CHANNELS, whole_images=True)
    if len(view.base) != 4:
        raise Refusal(f"its input has shape {view.shape}, not (N, C, H, W)")
    return _grouped(lowering, node, view, view.base[CHANNELS])


@RULES.rule("group_norm", "native_group_norm")
def _group_norm(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    groups: int = arguments["num_groups" if "num_groups" in arguments else "group"]
    view = lowering.channels_at(arguments["input"], CHANNELS, whole_images=True)
    if len(view.base) != 4:
        raise Refusal(f"its input has shape {view.shape}, not (N, C, H, W)")
    return _grouped(lowering, node, view, groups)


def _grouped(lowering: Lowering, node: Node, view: View, groups: int) -> View:
    arguments = lowering.arguments(node)
    is_plain = arguments["weight"] is None and arguments["bias"] is None
    kind = PlainGroupNorm if is_plain else GroupNorm
    return _norm(lowering, node, view, kind(groups, arguments["eps"]))


def _norm(lowering: Lowering, node: Node, view: View, op: LayerNorm | GroupNorm) -> View:
    """Add a norm with the scale and shift it has, or with ones and zeros."""
    arguments, channels = lowering.arguments(node), view.base[CHANNELS]
    weight, bias = (
        torch.full((channels,), value)
        if arguments[name] is None
        else lowering.constant(arguments[name], name)
        for name, value in (("weight", 1.0), ("bias", 0.0))
    )
    weights = Weights(weight, bias)
    return view.of(lowering.add(node, op, [view.key], shape=view.base, weights=weights))
