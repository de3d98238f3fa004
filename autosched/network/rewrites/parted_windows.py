"""Windows that are parted: wide dilated convolutions, and maxima of large windows.

Wide dilated convolutions become pointwise ones of each tap, moved to their place and added. A core
needs all rows between the taps of a kernel beside its own: with a dilation of 12 rows of 65
pixels of 2,048 channels no core has room for them, and ttnn takes the image in slices from DRAM,
which takes 10,717 us on n150 (29,274 with a dilation of 36). A tap alone is a matrix product, and
what it makes has few channels to be moved: some 2,200 us altogether (estimated).

Maxima of large windows are taken of columns first, and of rows of those then. A core goes through a
window stick by stick, the 3,136 pixels of a whole image one after the other: 332 us for 56x56
pixels of 64 channels (estimated, n150), where two pools take 33; larger ones find no room at all.
"""

from dataclasses import replace

import torch

from autosched.network.draft_graph import Draft, DraftGraph
from autosched.network.graph import Weights
from autosched.network.operators import Binary, Conv2d, Pad, Pair, Pool2d

_MOST_BYTES = 600_000
"""Of what lies between the taps, in bfloat16: about half of the L1 of a core."""
_CHANNELS_IN_PARTS = 8
"""Into which block shards cut channels at most on the smallest board."""


def part_dilated_kernels(graph: DraftGraph) -> None:
    """Part each convolution that needs more rows between its taps than a core has room for.

    The result is the same but for the rounding of what each tap makes.
    """
    for draft in graph:
        if isinstance(draft.op, Conv2d) and _is_parted(graph, draft, draft.op):
            _part(graph, draft, draft.op)


def _is_parted(graph: DraftGraph, draft: Draft, op: Conv2d) -> bool:
    width = graph.producer(draft).shape[3]
    between = op.dilation[0] * (op.kernel[0] - 1) * width * op.in_channels * 2
    return (
        max(op.dilation) > 1
        and (op.groups, op.stride) == (1, (1, 1))
        and op.out_channels < op.in_channels
        and _keeps_its_place(op)
        and between > _MOST_BYTES * _CHANNELS_IN_PARTS
    )


def _keeps_its_place(op: Conv2d) -> bool:
    """Whether the middle of a kernel reads the pixel that it makes, of an image of that size."""
    spans = [step * (taps - 1) for step, taps in zip(op.dilation, op.kernel, strict=True)]
    middle = tuple(span // 2 for span in spans for _ in range(2))
    return all(taps % 2 for taps in op.kernel) and op.padding == middle


def _part(graph: DraftGraph, draft: Draft, op: Conv2d) -> None:
    assert draft.weights is not None  # noqa: S101 - it is a convolution
    middle = (op.kernel[0] // 2, op.kernel[1] // 2)
    others = [tap for tap in _taps_within(draft, op) if tap != middle]
    if not others:
        draft.op = replace(_pointwise(op), has_bias=op.has_bias, activation=op.activation)
        draft.weights = Weights(_kernel(draft.weights, middle), draft.weights.bias)
        return
    # The middle one, which makes all pixels, adds the bias to them.
    total = _add_tap(graph, draft, middle, draft.weights.bias)
    for tap in others[:-1]:
        parts = [total, _add_tap(graph, draft, tap, None)]
        total = _add(graph, draft, f"sum{tap[0]}{tap[1]}", Binary("add"), parts)
    parts = [total, _add_tap(graph, draft, others[-1], None)]
    draft.op, draft.inputs, draft.weights = Binary("add", op.activation), parts, None


def _pointwise(op: Conv2d) -> Conv2d:
    return replace(
        op,
        kernel=(1, 1),
        dilation=(1, 1),
        padding=(0, 0, 0, 0),
        has_bias=False,
        activation=None,
    )


def _kernel(weights: Weights, tap: Pair) -> torch.Tensor:
    row, column = tap
    return weights.weight[:, :, row : row + 1, column : column + 1].contiguous()


def _taps_within(draft: Draft, op: Conv2d) -> list[Pair]:
    """Return the (row, column) of each tap that reads anything but padding."""
    taps = [(row, column) for row in range(op.kernel[0]) for column in range(op.kernel[1])]
    _, _, height, width = draft.shape
    reaches = {tap: _away(op, tap) for tap in taps}
    return [
        tap for tap, (down, across) in reaches.items() if abs(down) < height and abs(across) < width
    ]


def _away(op: Conv2d, tap: Pair) -> Pair:
    """Return how many rows and columns from the pixel that it makes a tap reads."""
    down, across = (
        (place - taps // 2) * step
        for place, taps, step in zip(tap, op.kernel, op.dilation, strict=True)
    )
    return down, across


def _add_tap(graph: DraftGraph, draft: Draft, tap: Pair, bias: torch.Tensor | None) -> str:
    """Add the layers of one tap, and return the key of what it adds to the result."""
    op, weights = draft.op, draft.weights
    assert isinstance(op, Conv2d)  # noqa: S101 - as was looked at
    assert weights is not None  # noqa: S101 - it is a convolution
    pointwise = replace(_pointwise(op), has_bias=bias is not None)
    name = f"tap{tap[0]}{tap[1]}"
    made = _add(graph, draft, name, pointwise, draft.inputs, Weights(_kernel(weights, tap), bias))
    down, across = _away(op, tap)
    if (down, across) == (0, 0):
        return made
    # What lies outside of the image is cut off at one side, and zeros come in at the other.
    return _add(graph, draft, f"{name}.moved", Pad((-down, down, -across, across)), [made])


def _add(
    graph: DraftGraph,
    draft: Draft,
    name: str,
    op: Conv2d | Pad | Binary,
    inputs: list[str],
    weights: Weights | None = None,
) -> str:
    """Put a layer of a convolution's shape before it, and return its key."""
    key, name = f"{draft.key}.{name}", f"{draft.name}.{name}"
    layer = Draft(key, name, op, list(inputs), draft.shape, draft.place, weights)
    return graph.insert(layer, draft)


_MANY = 64


def part_large_windows(graph: DraftGraph) -> None:
    """Part each max pool of large windows that do not overlap in two; the result is the same."""
    for draft in graph:
        op = draft.op
        if isinstance(op, Pool2d) and _is_large(op):
            _pool_columns_first(graph, draft, op)


def _is_large(op: Pool2d) -> bool:
    height, width = op.kernel
    plain = Pool2d("max", op.kernel, op.kernel)
    return op == plain and min(height, width) > 1 and height * width > _MANY


def _pool_columns_first(graph: DraftGraph, draft: Draft, op: Pool2d) -> None:
    height, width = op.kernel
    batch, channels, rows, _ = draft.shape
    column = replace(op, kernel=(height, 1), stride=(height, 1))
    shape = (batch, channels, rows, graph.producer(draft).shape[3])
    first = Draft(
        f"{draft.key}.columns", f"{draft.name}.columns", column, draft.inputs, shape, draft.place
    )
    graph.insert_before(draft, first)
    draft.op, draft.inputs = replace(op, kernel=(1, width), stride=(1, width)), [first.key]
