"""Rules for linear layers, products of tensors, and attention.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import math
from typing import Any

import torch
from torch.fx import Node

from autosched.network.graph import Weights
from autosched.network.operators import Attention, Conv2d, Linear, Matmul
from autosched.network.rules.expansions import broadcast, expanded
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, operator_name, shape_of
from autosched.network.rules.views import View

RULES = RuleBook()

# Added to a score that must not count: the softmax has no part left for it, and all is finite.
_NOTHING = -1e9

# What may stand between the steps of attention written out by hand without changing a value.
_TRANSPARENT = ("dropout", "clone", "contiguous", "identity", "alias", "expand", "to")


@RULES.rule("scaled_dot_product_attention", "scaled_dot_product_flash_attention_for_cpu")
def _attention(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    if arguments["dropout_p"]:
        raise Refusal("it drops at random even in eval mode; pass dropout_p=0")
    queries, keys, values = (lowering.view(arguments[name]) for name in ("query", "key", "value"))
    scale = arguments["scale"] or 1 / math.sqrt(queries.shape[-1])
    if arguments.get("enable_gqa"):
        raise Refusal("attention whose heads share keys (enable_gqa) has no layer")
    mask = _mask(lowering, arguments, queries.shape[-2], keys.shape[-2])
    return attention(lowering, node, (queries, keys, values), scale, mask)


def _mask(
    lowering: Lowering, arguments: dict[str, Any], queries: int, keys: int
) -> torch.Tensor | None:
    """What is added to the scores: where a score must not count, as much as takes it to nothing."""
    given = arguments.get("attn_mask")
    if arguments["is_causal"]:
        mask = torch.ones(queries, keys, dtype=torch.bool).tril()
    elif given is None:
        return None
    elif given not in lowering.constants:
        raise Refusal("attention with a mask that is computed from the input has no layer")
    else:
        mask = lowering.constants[given]
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape).masked_fill(~mask, _NOTHING)
    return mask.detach().to(torch.float32).clamp_min(_NOTHING)


def attention(
    lowering: Lowering,
    node: Node,
    views: tuple[View, View, View],
    scale: float,
    mask: torch.Tensor | None = None,
) -> View:
    """Add attention of (N, heads, tokens, features) queries, keys and values, or without heads.

    ``mask``, which goes with their scores (N, heads, queries, keys), is added to these.

    Raises:
        Refusal: their shapes are others, or do not fit together.
    """
    shapes = [view.shape for view in views]
    queries, keys, values = shapes
    fits = keys[:-2] == queries[:-2] and values[:-1] == keys[:-1] and values[-1] == queries[-1]
    if len(queries) not in {3, 4} or not fits:
        raise Refusal(f"attention of shapes {', '.join(map(str, shapes))} has no layer")
    heads = queries[1] if len(queries) == 4 else 1
    tokens = [
        _tokens(lowering, node, view, suffix) for view, suffix in zip(views, "qkv", strict=True)
    ]
    if not tokens[1].same_arrangement(tokens[2]):
        tokens[1:] = [
            _as_column(lowering, node, view, f"{suffix}.column")
            for view, suffix in zip(tokens[1:], "kv", strict=True)
        ]
    inputs = [view.key for view in tokens]
    if mask is not None:
        scores = (queries[0], heads, queries[-2], keys[-2])
        aligned = mask[:, None] if len(queries) == mask.dim() == 3 else mask
        inputs.append(lowering.constant_view(node, _added(aligned, scores), "mask").key)
    key = lowering.add(node, Attention(heads, scale), inputs, shape=tokens[0].base)
    result = tokens[0].of(key)
    if len(queries) == 3:
        return result
    split = result.reshaped((queries[0], queries[2], heads, queries[3]))
    assert split is not None  # noqa: S101 - the heads were merged just so
    return split.permuted((0, 2, 1, 3))


def _added(mask: torch.Tensor, scores: tuple[int, ...]) -> torch.Tensor:
    """A mask as (1, queries, keys) where all heads of all images have the same, or in full."""
    batch, heads, queries, keys = scores
    if mask.numel() in {1, queries * keys}:
        return mask.expand(1, 1, queries, keys).reshape(1, queries, keys)
    return mask.expand(scores).reshape(batch * heads, queries, keys)


def _tokens(lowering: Lowering, node: Node, view: View, suffix: str) -> View:
    """A view (N, tokens, heads * features) of N images whose channels are the last dimension."""
    if len(view.shape) == 4:
        batch, heads, tokens, features = view.shape
        merged = view.permuted((0, 2, 1, 3)).reshaped((batch, tokens, heads * features))
        assert merged is not None  # noqa: S101 - merging dimensions always succeeds
        view = merged
    if view.has_channels_at(2) and view.keeps_images and len(view.base) == 4:
        return view
    return _as_column(lowering, node, view, suffix)


def _as_column(lowering: Lowering, node: Node, view: View, suffix: str) -> View:
    """(N, tokens, C) as a view of an image (N, C, tokens, 1)."""
    image = view.permuted((0, 2, 1)).reshaped((view.shape[0], view.shape[2], view.shape[1], 1))
    assert image is not None  # noqa: S101 - it only adds a dimension
    key = lowering.rearranged(node, image, suffix=suffix)
    column = View.whole(key, image.shape).reshaped(image.shape[:3])
    assert column is not None  # noqa: S101 - it only drops a dimension
    return column.permuted((0, 2, 1))


def product(lowering: Lowering, node: Node, left: Node, right: Node) -> View:
    """Lower the product of two computed tensors: attention where it is one, or a plain product.

    Raises:
        Refusal: one would have to be repeated in a way that has no layer.
    """
    matched = _hand_written_attention(lowering, node, left, right)
    if matched is not None:
        return matched
    return _plain_product(lowering, node, lowering.view(left), lowering.view(right))


def _plain_product(lowering: Lowering, node: Node, one: View, two: View) -> View:
    """Multiply matrices, of which those of one may be repeated for the other's."""
    rank = len(shape_of(node))
    leading = broadcast(one.aligned(rank).shape[:-2], two.aligned(rank).shape[:-2])
    one, two = (
        expanded(lowering, node, view.aligned(rank), (*leading, *view.shape[-2:]), f"{name}wide")
        if view.aligned(rank).shape[:-2] != leading
        else view.aligned(rank)
        for view, name in ((one, "left"), (two, "right"))
    )
    turned = two.permuted([*range(len(two.dims) - 2), -1, -2])
    transposed = _batched(turned).flat == tuple(range(len(two.sizes)))
    keys = [
        lowering.rearranged(node, _batched(view), suffix=suffix)
        for view, suffix in ((one, "left"), (turned if transposed else two, "right"))
    ]
    shape = (_batched(one).shape[0], one.shape[-2], two.shape[-1])
    key = lowering.add(node, Matmul(transposed), keys, shape=shape)
    result = View.whole(key, shape).reshaped(shape_of(node))
    assert result is not None  # noqa: S101 - it only splits the batch
    return result


def _batched(view: View) -> View:
    """The leading dimensions made one."""
    *leading, rows, columns = view.shape
    merged = view.reshaped((math.prod(leading), rows, columns))
    assert merged is not None  # noqa: S101 - merging dimensions always succeeds
    return merged


def _hand_written_attention(lowering: Lowering, node: Node, left: Node, right: Node) -> View | None:
    """softmax(queries @ keys.transpose(-2, -1) * scale) @ values as attention, if it is that."""
    weights = _looked_through(left)
    if operator_name(weights) != "softmax":
        return None
    arguments = lowering.arguments(weights)
    rank = len(shape_of(weights))
    if arguments["dim"] % rank != rank - 1 or rank not in {3, 4}:
        return None
    scores, scale = _without_scale(lowering, _looked_through(arguments["self"]))
    if operator_name(scores) not in {"matmul", "bmm"}:
        return None
    factors = lowering.arguments(scores)
    queries, turned = factors["self"], factors["other" if "other" in factors else "mat2"]
    if any(lowering.is_constant(item) for item in (queries, turned, right)):
        return None
    keys = lowering.view(turned).permuted([*range(rank - 2), rank - 1, rank - 2])
    views = (lowering.view(queries), keys, lowering.view(right))
    if views[2].shape != keys.shape or views[0].shape[:-2] != keys.shape[:-2]:
        return None
    return attention(lowering, node, views, scale)


def _looked_through(node: Node) -> Node:
    while operator_name(node) in _TRANSPARENT and node.all_input_nodes:
        source = node.all_input_nodes[0]
        if shape_of(source) != shape_of(node):
            return node
        node = source
    return node


def _without_scale(lowering: Lowering, node: Node) -> tuple[Node, float]:
    """What is multiplied by, or divided by, a number; and the factor."""
    name = operator_name(node)
    if name not in {"mul", "div"}:
        return node, 1.0
    arguments: dict[str, Any] = lowering.arguments(node)
    source, value = arguments["self"], arguments["other"]
    if isinstance(value, Node):
        constant = lowering.constants.get(value)
        value = constant.item() if constant is not None and constant.numel() == 1 else None
    if not isinstance(source, Node) or not isinstance(value, int | float) or not value:
        return node, 1.0
    return _looked_through(source), 1 / value if name == "div" else float(value)


@RULES.rule("linear")
def _linear(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    weight = lowering.constant(arguments["weight"], "weight")
    rows = weight if weight.dim() > 1 else weight[None]
    result = _fully_connected(lowering, node, arguments["input"], rows, arguments["bias"])
    return result if weight.dim() > 1 else result.without(len(result.dims) - 1)


@RULES.rule("addmm")
def _addmm(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    if (arguments["beta"], arguments["alpha"]) != (1, 1):
        raise Refusal("beta and alpha other than 1 have no layer")
    weight = lowering.constant(arguments["mat2"], "matrix").T.contiguous()
    return _fully_connected(lowering, node, arguments["mat1"], weight, arguments["self"])


@RULES.rule("matmul", "mm", "bmm")
def _matmul(lowering: Lowering, node: Node) -> str | View:
    arguments = lowering.arguments(node)
    left, right = arguments["self"], arguments["other" if "other" in arguments else "mat2"]
    if not lowering.is_constant(left) and not lowering.is_constant(right):
        return product(lowering, node, left, right)
    if lowering.is_constant(right):
        return _by_parameter(lowering, node, left, lowering.constant(right, "matrix"))
    matrix, view = lowering.constant(left, "matrix"), lowering.view(right)
    if len(view.dims) < 2 or matrix.dim() < 2:
        raise Refusal("the product of a parameter with a vector has no layer")
    if matrix.dim() > 2:
        return _plain_product(lowering, node, _repeated(lowering, node, matrix), view)
    # A @ x is the transposed of x' @ A'.
    order = [*range(len(view.dims) - 2), len(view.dims) - 1, len(view.dims) - 2]
    turned = view.permuted(order)
    if len(order) == 2:
        turned = View.whole(lowering.rearranged(node, turned, suffix="turned"), turned.shape)
    lowering.views[node] = turned
    return _fully_connected(lowering, node, node, matrix, None).permuted(order)


def _by_parameter(lowering: Lowering, node: Node, left: Node, matrix: torch.Tensor) -> View:
    if matrix.dim() == 1:
        result = _fully_connected(lowering, node, left, matrix[None], None)
        return result.without(len(result.dims) - 1)
    if matrix.dim() == 2:
        return _fully_connected(lowering, node, left, matrix.T.contiguous(), None)
    return _plain_product(lowering, node, lowering.view(left), _repeated(lowering, node, matrix))


def _repeated(lowering: Lowering, node: Node, matrices: torch.Tensor) -> View:
    """Parameters as a layer's tensor, with the leading dimensions of the product."""
    leading = shape_of(node)[:-2]
    return lowering.constant_view(node, matrices.expand(*leading, -1, -1), "matrices")


def _fully_connected(
    lowering: Lowering, node: Node, source: Node, weight: torch.Tensor, bias: Node | None
) -> View:
    """A linear layer of vectors; of tokens, which are pixels, a pointwise convolution."""
    if lowering.is_constant(source):
        raise Refusal("a product with a parameter on the left has no layer; put it on the right")
    if len(lowering.view(source).shape) == 2:
        lowering.draft(source)
    view = lowering.channels_at(source, -1)
    outputs, features = weight.shape
    vector = None
    if bias is not None:
        vector = lowering.constant(bias, "bias")
        if vector.numel() not in {1, outputs} or vector.shape[-1:].numel() != vector.numel():
            raise Refusal(f"its bias has shape {tuple(vector.shape)}, not ({outputs},)")
        vector = vector.reshape(-1).expand(outputs).contiguous()
    op: Linear | Conv2d = Linear(features, outputs, has_bias=vector is not None)
    if len(view.base) == 4:
        op = Conv2d(features, outputs, (1, 1), has_bias=vector is not None)
        weight = weight[:, :, None, None]
    shape = (view.base[0], outputs, *view.base[2:])
    key = lowering.add(node, op, [view.key], shape=shape, weights=Weights(weight, vector))
    return view.resized(key, len(view.dims) - 1, outputs)
