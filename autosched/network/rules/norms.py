"""Rules for norms and softmax.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import torch
from torch import nn
from torch.fx import Node

from autosched.network.draft_graph import BatchNorm
from autosched.network.graph import Weights
from autosched.network.operators import GroupNorm, LayerNorm, Softmax
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook
from autosched.network.rules.views import CHANNELS, View

RULES = RuleBook()


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
    lowering: Lowering, node: Node, view: View, tensors: dict[str, torch.Tensor], eps: float
) -> View:
    """Scale and shift the channels of a view's draft."""
    channels = view.base[CHANNELS]
    module = nn.BatchNorm2d(channels, eps=eps).eval().requires_grad_(requires_grad=False)
    for name, tensor in tensors.items():
        getattr(module, name).data = tensor.expand(channels).contiguous()
    return view.of(lowering.add(node, BatchNorm(module), [view.key], shape=view.base))


@RULES.rule("softmax")
def _softmax(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    view = lowering.channels_at(arguments["self"], arguments["dim"])
    return view.of(lowering.add(node, Softmax(CHANNELS), [view.key], shape=view.base))


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


@RULES.rule("group_norm", "native_group_norm")
def _group_norm(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    groups: int = arguments["num_groups" if "num_groups" in arguments else "group"]
    view = lowering.channels_at(arguments["input"], CHANNELS, whole_images=True)
    if len(view.base) != 4:
        raise Refusal(f"its input has shape {view.shape}, not (N, C, H, W)")
    return _norm(lowering, node, view, GroupNorm(groups, arguments["eps"]))


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
