"""Maxima of large windows taken of columns first, and of rows of those then.

A core goes through a window stick by stick, the 3,136 pixels of a whole image one after the other:
332 us for 56x56 pixels of 64 channels (estimated, n150), where two pools take 33; larger ones find
no room at all.
"""

from dataclasses import replace

from autosched.network.draft_graph import Draft, DraftGraph
from autosched.network.operators import Pool2d

_MANY = 64


def part_large_windows(graph: DraftGraph) -> None:
    """Part each max pool of large windows that do not overlap in two; the result is the same."""
    for draft in graph:
        op = draft.op
        if isinstance(op, Pool2d) and _is_parted(op):
            _pool_columns_first(graph, draft, op)


def _is_parted(op: Pool2d) -> bool:
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
