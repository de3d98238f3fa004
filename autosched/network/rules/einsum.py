"""The rule for einsum: products of two tensors, and sums and orders of one.

Operator names and argument names are those of PyTorch's ATen schemas (native_functions.yaml).
"""

import math
import string
from collections.abc import Sequence

import torch
from torch.fx import Node

from autosched.network.graph import Weights
from autosched.network.operators import Constant, Matmul
from autosched.network.rules.expansions import last_as_channels, mixed
from autosched.network.rules.reductions import summed
from autosched.network.rules.rulebook import Lowering, Refusal, RuleBook, shape_of
from autosched.network.rules.views import View

RULES = RuleBook()

_DOTS = "..."

Labelled = tuple[View | torch.Tensor, str]
"""A tensor, and a letter for each of its dimensions."""


@RULES.rule("einsum")
def _einsum(lowering: Lowering, node: Node) -> View:
    arguments = lowering.arguments(node)
    ranks = [len(shape_of(item)) for item in arguments["tensors"]]
    inputs, output = _letters(arguments["equation"], ranks)
    operands: list[Labelled] = [
        (lowering.constants[item] if lowering.is_constant(item) else lowering.view(item), letters)
        for item, letters in zip(arguments["tensors"], inputs, strict=True)
    ]
    number = 0
    while len(operands) > 1:
        others = "".join(letters for _, letters in operands[2:])
        kept = set(output) | set(others)
        number += 1
        suffix = "" if len(operands) == 2 else f"product{number}"
        operands[:2] = [_product(lowering, node, operands[0], operands[1], kept, suffix)]
    result = _without(lowering, node, operands[0], set(output), "sum")
    view, letters = result
    assert isinstance(view, View)  # noqa: S101 - what depends on no input is folded before
    return view.permuted([letters.index(letter) for letter in output])


def _letters(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand, and of the result; dots stand for capitals that are free.

    Raises:
        Refusal: the equation takes a diagonal.
    """
    sources, arrow, output = equation.replace(" ", "").partition("->")
    inputs = sources.split(",")
    free = [letter for letter in string.ascii_uppercase if letter not in equation]
    most = 0
    for number, (letters, rank) in enumerate(zip(inputs, ranks, strict=True)):
        if _DOTS in letters:
            count = rank - len(letters) + len(_DOTS)
            most = max(most, count)
            # They are aligned at their last.
            inputs[number] = letters.replace(_DOTS, "".join(free[:count][::-1]))
    if any(len(set(letters)) < len(letters) for letters in inputs):
        raise Refusal("a diagonal in einsum has no layer")
    dotted = "".join(free[:most][::-1])
    if not arrow:
        joined = "".join(inputs)
        once = sorted(letter for letter in set(joined) if joined.count(letter) == 1)
        return inputs, dotted + "".join(letter for letter in once if letter not in dotted)
    return inputs, output.replace(_DOTS, dotted)


def _without(
    lowering: Lowering, node: Node, operand: Labelled, kept: set[str], suffix: str
) -> Labelled:
    """An operand summed over the letters that nobody else has."""
    tensor, letters = operand
    dims = [dim for dim, letter in enumerate(letters) if letter not in kept]
    if not dims:
        return operand
    left = "".join(letter for letter in letters if letter in kept)
    if isinstance(tensor, torch.Tensor):
        return tensor.sum(dims), left
    view = summed(lowering, node, tensor, dims, 1.0, suffix)
    for dim in reversed(dims):
        view = view.without(dim)
    return view, left


def _product(
    lowering: Lowering, node: Node, one: Labelled, two: Labelled, kept: set[str], suffix: str
) -> Labelled:
    left = _without(lowering, node, one, kept | set(two[1]), f"{suffix}left")
    right = _without(lowering, node, two, kept | set(one[1]), f"{suffix}right")
    if isinstance(left[0], torch.Tensor) and isinstance(right[0], torch.Tensor):
        own = "".join(letter for letter in dict.fromkeys(left[1] + right[1]) if letter in kept)
        return torch.einsum(f"{left[1]},{right[1]}->{own}", left[0], right[0]), own
    shared = [letter for letter in left[1] if letter in right[1]]
    batch = [letter for letter in shared if letter in kept]
    if isinstance(left[0], torch.Tensor):
        left, right = right, left
    if isinstance(right[0], torch.Tensor) and not batch and shared:
        return _by_a_matrix(lowering, node, left, right, suffix)
    inner = [letter for letter in shared if letter not in kept]
    rows = [letter for letter in left[1] if letter not in shared]
    columns = [letter for letter in right[1] if letter not in shared]
    sizes = _sizes(left) | _sizes(right)
    keys = [
        _batched(lowering, node, operand, (batch, *parts), f"{suffix}{name}")
        for operand, parts, name in (
            (left, (rows, inner), "left"),
            (right, (inner, columns), "right"),
        )
    ]
    shape = tuple(math.prod(sizes[item] for item in group) for group in (batch, rows, columns))
    key = lowering.add(node, Matmul(), keys, shape=shape, suffix=suffix)
    letters = [*batch, *rows, *columns]
    result = View.whole(key, shape).reshaped([sizes[letter] for letter in letters])
    assert result is not None  # noqa: S101 - it only splits dimensions
    return result, "".join(letters)


def _sizes(operand: Labelled) -> dict[str, int]:
    tensor, letters = operand
    return dict(zip(letters, tensor.shape, strict=True))


def _batched(
    lowering: Lowering,
    node: Node,
    operand: Labelled,
    groups: Sequence[Sequence[str]],
    suffix: str,
) -> str:
    """The key of a draft (batch, rows, columns) of an operand whose letters are in these groups."""
    tensor, letters = operand
    order = [letters.index(letter) for group in groups for letter in group]
    sizes = _sizes(operand)
    shape = tuple(math.prod(sizes[letter] for letter in group) for group in groups)
    if isinstance(tensor, torch.Tensor):
        values = tensor.detach().to(torch.float32).permute(order).reshape(shape).contiguous()
        return lowering.add(
            node, Constant(), [], shape=shape, weights=Weights(values), suffix=suffix
        )
    merged = tensor.permuted(order).reshaped(shape)
    assert merged is not None  # noqa: S101 - merging dimensions always succeeds
    return lowering.rearranged(node, merged, suffix=suffix)


def _by_a_matrix(
    lowering: Lowering, node: Node, left: Labelled, right: Labelled, suffix: str
) -> Labelled:
    """Multiply a tensor by a constant: its channels are the letters that the two share."""
    view, letters = left
    matrix, names = right
    assert isinstance(view, View)  # noqa: S101 - as the caller found
    assert isinstance(matrix, torch.Tensor)  # noqa: S101
    shared = [letter for letter in letters if letter in names]
    others = [letter for letter in letters if letter not in names]
    new = [letter for letter in names if letter not in letters]
    sizes = _sizes(left) | _sizes(right)
    order = [letters.index(letter) for letter in (*others, *shared)]
    merged = view.permuted(order).reshaped(
        [*(sizes[item] for item in others), math.prod(sizes[item] for item in shared)]
    )
    assert merged is not None  # noqa: S101 - merging dimensions always succeeds
    last = len(others)
    if not merged.has_channels_at(last):
        merged = last_as_channels(lowering, node, _as_base(lowering, node, merged), suffix)
    weight = matrix.detach().to(torch.float32)
    weight = weight.permute([names.index(item) for item in (*new, *shared)])
    outputs = math.prod(sizes[item] for item in new)
    key = mixed(lowering, node, merged, weight.reshape(outputs, -1), suffix)
    result = merged.resized(key, last, outputs).reshaped(
        [sizes[letter] for letter in (*others, *new)]
    )
    assert result is not None  # noqa: S101 - it only splits the channels
    return result, "".join([*others, *new])


def _as_base(lowering: Lowering, node: Node, view: View) -> View:
    """The tensor as a view of one with its last dimension as channels."""
    lowering.views[node] = view
    return lowering.channels_at(node, -1)
