"""Channels that change places (channel shuffles), taken over by the weights around them.

On the device a shuffle moves every element by itself. The layer before it can make its channels in
the new order; the layers behind it can read them in the old one, and hand that on until a matrix of
weights takes it: the same numbers, summed in another order. What nothing takes over is a
convolution of ones and zeros, which moves whole tiles. So are channels that are cut off in the
midst of a tile.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch

from autosched.network.draft_graph import Draft, DraftGraph
from autosched.network.graph import Weights
from autosched.network.operators import (
    Binary,
    Concat,
    Conv2d,
    Crop,
    GlobalAvgPool2d,
    LayerNorm,
    Linear,
    Pad,
    Permute,
    Pool2d,
    Reshape,
    Shape,
    Slice,
    Unary,
    Upsample,
    is_pointwise,
)
from autosched.network.rewrites.folding import remove_dead
from autosched.network.rewrites.ordered_weights import (
    Order,
    has_rows,
    may_have_zeros,
    order_rows,
    put_rows,
    scales_each,
    take_columns,
    takes_columns,
    weights_of,
    with_rows,
)

_CHANNEL_BY_CHANNEL = (Unary, Pool2d, GlobalAvgPool2d, Crop, Pad, Upsample)
_TILE = 32


def fold_channel_orders(graph: DraftGraph) -> None:
    """Let weights take over every layer that does nothing but put channels in another order."""
    for draft in graph:
        _split_product(graph, draft)
    orders = _Orders(graph)
    for draft in graph:
        orders.read(draft)
    remove_dead(graph)


def _split_product(graph: DraftGraph, draft: Draft) -> None:
    """Make parts of channels one by one, where nobody reads all and tiles would be cut for them."""
    op, readers = draft.op, graph.users(draft.key)
    if not isinstance(op, Conv2d) or not is_pointwise(op):
        return
    slices = [reader.op for reader in readers if isinstance(reader.op, Slice)]
    ragged = any(part.start % _TILE for part in slices)
    if len(slices) < len(readers) or not (ragged or len(readers) == 1):
        return
    for reader, part in zip(readers, slices, strict=True):
        reader.op = replace(op, out_channels=part.stop - part.start)
        reader.weights = with_rows(weights_of(draft), torch.arange(part.start, part.stop))
        reader.inputs = list(draft.inputs)
    del graph.drafts[draft.key]


def channel_order(op: Permute, shape: Shape) -> torch.Tensor | None:
    """The places that channels of a tensor of ``shape`` come from; None if more than they move."""
    sizes = [size for size in op.sizes if size != 1]
    kept = [part for part, size in enumerate(op.sizes) if size != 1]
    order = [kept.index(part) for part in op.order if part in kept]
    start = _parts(sizes, shape[0])
    stop = None if start is None else _parts(sizes, shape[0] * shape[1])
    if start is None or stop is None:
        return None
    outside = [*order[:start], *order[stop:]]
    if outside != [*range(start), *range(stop, len(sizes))]:
        return None
    inner = [part - start for part in order[start:stop]]
    return torch.arange(shape[1]).reshape(sizes[start:stop]).permute(inner).reshape(-1)


def _parts(sizes: Sequence[int], size: int) -> int | None:
    """How many of the first parts make up ``size``; None if none do."""
    return next((count for count in range(len(sizes) + 1) if prod(sizes[:count]) == size), None)


class _Orders:
    """Which tensors are there in another order than PyTorch's, while layers are gone through."""

    def __init__(self, graph: DraftGraph) -> None:
        self._graph = graph
        self._orders: dict[str, Order] = {}
        self._made: dict[str, str] = {}

    def read(self, draft: Draft) -> None:
        """Let a draft read its inputs as they are there, and note what it makes of that."""
        places = self._places(draft)
        if places is not None:
            self._reorder(draft, places)
        elif isinstance(draft.op, Slice) and len(draft.shape) == 4 and draft.op.start % _TILE:
            self._keep(draft, torch.arange(draft.op.start, draft.op.stop))
        elif self._is_sum(draft):
            self._become_sum(draft)
        elif any(key in self._orders for key in draft.inputs) and not self._takes(draft):
            draft.inputs = [self._real(draft, key) for key in draft.inputs]

    def _places(self, draft: Draft) -> torch.Tensor | None:
        """The places of the channels that a draft reads, if it does no more than order them."""
        if not isinstance(draft.op, Permute):
            return None
        shape = self._graph.producer(draft).shape
        same = len(shape) == 4 and shape == draft.shape
        return channel_order(draft.op, shape) if same or self._is_vector(draft) else None

    def _reorder(self, draft: Draft, places: torch.Tensor) -> None:
        (key,) = draft.inputs
        order = self._of(key)
        if len(draft.shape) == 2:
            draft.op, draft.inputs = Reshape(), [order.key]
            self._graph.renew(draft, f"{draft.key}.ordered")
            self._orders[draft.key] = replace(order, key=draft.key, places=order.places[places])
        elif self._make_in_order(draft, key, places):
            self._graph.absorb(draft)
        else:
            self._keep(draft, places)

    def _keep(self, draft: Draft, places: torch.Tensor) -> None:
        """Note what a draft would make, so that its readers read its input."""
        order = self._of(draft.inputs[0])
        self._orders[draft.key] = replace(order, places=order.places[places])

    def _is_sum(self, draft: Draft) -> bool:
        """Whether a concatenation that is shuffled, or of parts of what was, can be a sum.

        Its inputs are then made with zeros for the channels of the other.
        """
        if draft.op != Concat() or len(draft.inputs) != 2 or len(draft.shape) != 4:
            return False
        orders = [self._of(key) for key in draft.inputs]
        readers = self._graph.users(draft.key)
        shuffled = any(self._places(reader) is not None for reader in readers)
        if all(order.is_whole for order in orders) and not shuffled:
            return False
        return all(
            key in self._orders or may_have_zeros(self._graph, draft, key) for key in draft.inputs
        )

    def _become_sum(self, draft: Draft) -> None:
        channels, start = draft.shape[1], 0
        for number, key in enumerate(draft.inputs):
            count = self._graph.drafts[key].shape[1]
            rows = torch.arange(start, start + count)
            start += count
            if key in self._orders:
                draft.inputs[number] = self._made_of(draft, key, rows, channels)
            else:
                source = self._graph.drafts[key]
                put_rows(source, rows, channels)
                self._graph.renew(source, f"{key}.wide")
        draft.op = Binary("add")

    def _of(self, key: str) -> Order:
        count = self._graph.drafts[key].shape[1]
        return self._orders.get(key) or Order(key, torch.arange(count), count)

    def _takes(self, draft: Draft) -> bool:
        """Let a draft read what is there, if it can."""
        orders = [self._of(key) for key in draft.inputs]
        if isinstance(draft.op, Slice):
            self._keep(draft, torch.arange(draft.op.start, draft.op.stop))
            return True
        if takes_columns(draft, orders[0]):
            take_columns(draft, orders[0])
            draft.inputs = [orders[0].key]
            return True
        if not all(order.is_whole for order in orders):
            return False
        places = self._places_handed_on(draft, orders)
        if places is None:
            return False
        draft.inputs = [self._of(key).key for key in draft.inputs]
        self._graph.renew(draft, f"{draft.key}.ordered")
        order = Order(draft.key, places, len(places))
        if not order.is_plain:
            self._orders[draft.key] = order
        return True

    def _places_handed_on(self, draft: Draft, orders: Sequence[Order]) -> torch.Tensor | None:
        """The order that a layer hands on, after its parameters were put in it, or None."""
        first = orders[0].places
        match draft.op:
            case Conv2d() as op if op.groups == op.in_channels:
                each = op.out_channels // op.in_channels
                places = (first[:, None] * each + torch.arange(each)).reshape(-1)
                draft.weights = with_rows(weights_of(draft), places.argsort())
                return places
            case LayerNorm():
                draft.weights = with_rows(weights_of(draft), first.argsort())
                return first
            case Binary():
                return self._common_places(draft, orders)
            case Concat():
                starts = [sum(order.count for order in orders[:n]) for n in range(len(orders))]
                pairs = zip(orders, starts, strict=True)
                return torch.cat([order.places + start for order, start in pairs])
            case Reshape():
                return first if self._is_vector(draft) else None
            case op:
                return first if isinstance(op, _CHANNEL_BY_CHANNEL) else None

    def _is_vector(self, draft: Draft) -> bool:
        """Whether a layer makes of one pixel's channels what linear layers alone read."""
        source = self._graph.producer(draft).shape
        readers = self._graph.users(draft.key)
        return source == (*draft.shape, 1, 1) and all(isinstance(r.op, Linear) for r in readers)

    def _common_places(self, draft: Draft, orders: Sequence[Order]) -> torch.Tensor | None:
        """The order of both operands; one that has none is made in that of the other, if it can."""
        wanted = next(self._orders[key] for key in draft.inputs if key in self._orders)
        for key, order in zip(draft.inputs, orders, strict=True):
            if order.same_places(wanted) or order.count == 1:
                continue
            if not self._make_in_order(draft, key, wanted.places.argsort()):
                return None
        return wanted.places

    def _make_in_order(self, reader: Draft, key: str, places: torch.Tensor) -> bool:
        """Let what makes a tensor make it in another order, if nobody else reads it."""
        chain = [self._graph.drafts[key]]
        while isinstance(chain[-1].op, Unary) or scales_each(chain[-1]):
            chain.append(self._graph.producer(chain[-1]))
        alone = zip(chain, [reader, *chain], strict=False)
        if key in self._orders or not all(self._graph.is_only_user(b, a) for a, b in alone):
            return False
        if not has_rows(chain[-1]):
            return False
        for draft in chain:
            order_rows(draft, places)
            self._graph.renew(draft, f"{draft.key}.ordered")
        return True

    def _real(self, reader: Draft, key: str) -> str:
        """The key of a tensor in PyTorch's order, made by a convolution of ones and zeros."""
        if key not in self._orders:
            return key
        if key not in self._made:
            count = len(self._orders[key].places)
            self._made[key] = self._made_of(reader, key, torch.arange(count), count)
        return self._made[key]

    def _made_of(self, reader: Draft, key: str, rows: torch.Tensor, channels: int) -> str:
        """Add a convolution that makes a tensor's channels, as ``rows`` among ``channels``."""
        order, draft = self._orders[key], self._graph.drafts[key]
        matrix = torch.zeros(channels, order.count, 1, 1)
        matrix[rows, order.places] = 1.0
        made = Draft(
            f"{key}.order{len(self._graph.drafts)}",
            f"{draft.name}.order",
            Conv2d(order.count, channels, (1, 1), has_bias=False),
            [order.key],
            (draft.shape[0], channels, *draft.shape[2:]),
            draft.place,
            Weights(matrix),
        )
        self._graph.insert_before(reader, made)
        return made.key
