"""What the rules that lower operators share: the drafts so far, and a node's arguments by name."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, TypeVar

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from autosched.network.draft_graph import Draft, DraftGraph, DraftOp
from autosched.network.graph import Weights
from autosched.network.operators import Constant, Permute, Reshape
from autosched.network.rules.views import View
from autosched.network.source_places import source_place_of


class Refusal(Exception):  # noqa: N818 - it never leaves this room
    """Why one operator cannot be lowered."""


class Lowering:
    """What a rule sees: the drafts so far, constant tensors, and a node's arguments by name.

    ``views`` say how the nodes' tensors lie now, ``first_views`` how they lay in what the rules
    made, before a reader wanted them in order. ``postponed`` has the nodes that only repeat parts
    of a tensor, of which ``views`` has that tensor, and what repeats them for a reader that needs
    it. ``several`` has constants that come together, such as grids. ``host_only`` has the drafts
    whose results cannot go to the device, each with what it is. ``instead`` has what stands for
    nodes that were replaced by what their operators are made of; ``is_full`` tells that there are
    too many layers to go on with that.
    """

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.graph = DraftGraph()
        self.constants: dict[Node, torch.Tensor] = {}
        self.several: dict[Any, tuple[torch.Tensor, ...]] = {}
        self.views: dict[Node, View] = {}
        self.first_views: dict[Node, View] = {}
        self.postponed: dict[Node, Callable[[], View]] = {}
        self.host_only: dict[str, str] = {}
        self.instead: dict[Node, Any] = {}
        self.is_full = False
        self._rearranged: dict[View, str] = {}

    def what_stands_for(self, node: Node) -> Any:
        """The node, or what it was replaced by."""
        while node in self.instead:
            node = self.instead[node]
        return node

    @contextmanager
    def tentatively(self) -> Iterator[None]:
        """Forget all that was added in the block if a refusal leaves it."""
        before = {
            name: copy(value) for name, value in vars(self).items() if isinstance(value, dict)
        }
        drafts = dict(self.graph.drafts)
        try:
            yield
        except Refusal:
            vars(self).update(before)
            self.graph.drafts = drafts
            raise

    def arguments(self, node: Node) -> dict[str, Any]:
        """The node's arguments by the names of its ATen schema, with defaults filled in."""
        schema = node.target._schema  # type: ignore[union-attr]
        values = dict(zip((a.name for a in schema.arguments), node.args, strict=False))
        values.update(node.kwargs)
        return {a.name: values.get(a.name, a.default_value) for a in schema.arguments}

    def view(self, node: Node) -> View:
        """The node's tensor as a rearrangement of a draft's."""
        if node in self.postponed:
            self.views[node] = self.postponed.pop(node)()
        return self.narrow_view(node)

    def narrow_view(self, node: Node) -> View:
        """The node's tensor, or that of which it only repeats parts, with as many dimensions."""
        if node not in self.views:
            raise Refusal("its input is a constant")
        return self.views[node]

    def constant_view(self, node: Node, value: torch.Tensor, suffix: str) -> View:
        """A constant as a layer's tensor, for a layer that takes no weights."""
        shape = tuple(value.shape)
        weights = Weights(value.detach().to(torch.float32).contiguous())
        key = self.add(node, Constant(), [], shape=shape, weights=weights, suffix=suffix)
        return View.whole(key, shape)

    def draft(self, node: Node) -> Draft:
        """The draft that makes the node's tensor, rearranged by a layer where it has to be."""
        view = self.view(node)
        self.views[node] = view = View.whole(self.rearranged(node, view), view.shape)
        return self.graph.drafts[view.key]

    def base(self, view: View) -> Draft:
        """The draft that a view is of."""
        return self.graph.drafts[view.key]

    def rearranged(self, node: Node, view: View, suffix: str = "") -> str:
        """Add the layer that brings a view's elements into their order, and return its key."""
        source = self.base(view)
        if view.is_whole:
            return source.key
        if view not in self._rearranged:
            self._rearranged[view] = self._add_rearranged(node, view, suffix)
        return self._rearranged[view]

    def _add_rearranged(self, node: Node, view: View, suffix: str) -> str:
        source = self.base(view)
        suffix = self._free_suffix(node, suffix)
        if source.op == Constant() and source.weights is not None:
            values = view.of_tensor(source.weights.weight).contiguous()
            return self.add(
                node, Constant(), [], shape=view.shape, weights=Weights(values), suffix=suffix
            )
        if view.flat != tuple(range(len(view.sizes))):
            op = Permute(view.sizes, view.flat)
            return self.add(node, op, [source.key], shape=view.shape, suffix=suffix)
        while source.op == Reshape():
            source = self.graph.producer(source)
        if source.shape == view.shape:
            return source.key
        return self.add(node, Reshape(), [source.key], shape=view.shape, suffix=suffix)

    def _free_suffix(self, node: Node, suffix: str) -> str:
        wanted = [suffix, *(f"{suffix}view{number or ''}" for number in range(len(self.views)))]
        keys = self.graph.drafts
        return next(text for text in wanted if node.name + (f".{text}" if text else "") not in keys)

    def channels_at(self, node: Node, dim: int, *, whole_images: bool = False) -> View:
        """The node's tensor as a view of a draft whose channels are dimension ``dim`` of it.

        With ``whole_images``, each of its images is one of the draft's, too. Where the draft's are
        others, a layer makes them so: images of one column.
        """
        view = self.view(node)
        dim %= len(view.dims)
        if view.has_channels_at(dim) and (view.keeps_images or not whole_images):
            return view
        others = [d for d in range(1, len(view.dims)) if d != dim]
        if dim == 0 and whole_images:
            raise Refusal("it works along the batch")
        # Along the batch, all is one image.
        order = [0, dim, *others] if dim else [0, *others]
        sizes = [view.shape[d] for d in order]
        batch, channels, *rest = sizes if dim else (1, *sizes)
        image = view.permuted(order).reshaped((batch, channels, math.prod(rest), 1))
        assert image is not None  # noqa: S101 - merging dimensions always succeeds
        key = self.rearranged(node, image, suffix="channels")
        whole = View.whole(key, image.shape).reshaped(sizes)
        assert whole is not None  # noqa: S101 - the reverse of the merging
        self.views[node] = whole.permuted([order.index(d) for d in range(len(order))])
        return self.views[node]

    def arranged(self, node: Node, own: View, other: View, suffix: str = "arranged") -> str | None:
        """The key of a draft of which ``own``'s tensor is the same view as ``other`` of its own.

        None where no view of the draft gives the elements in that order.
        """
        if own.same_arrangement(other):
            return own.key
        cut = own.reshaped([other.sizes[part] for part in other.flat])
        if cut is None:
            return None
        whole = cut.permuted([other.flat.index(part) for part in range(len(other.sizes))])
        target = whole.reshaped(other.base)
        return None if target is None else self.rearranged(node, target, suffix=suffix)

    def is_constant(self, value: Any) -> bool:
        """Whether a value is known without running the network."""
        return not isinstance(value, Node) or value in self.constants

    def constant(self, value: Any, what: str) -> torch.Tensor:
        """A float32 parameter, contiguous; it shares the module's memory where it can."""
        if value not in self.constants:
            raise Refusal(f"its {what} is computed from the input")
        return self.constants[value].detach().to(torch.float32).contiguous()

    def image(self, node: Node) -> Draft:
        """The draft of an input that must have shape (N, C, H, W)."""
        shape = self.view(node).shape
        if len(shape) != 4:
            raise Refusal(f"its input has shape {shape}, not (N, C, H, W)")
        return self.draft(node)

    def add(
        self,
        node: Node,
        op: DraftOp,
        inputs: list[str],
        *,
        shape: tuple[int, ...] | None = None,
        weights: Weights | None = None,
        suffix: str = "",
    ) -> str:
        """Append a draft for ``node``; ``suffix`` tells a second draft of one node apart."""
        place = source_place_of(node)
        name = place.name(operator_name(node)) + (f".{suffix}" if suffix else "")
        key = node.name + (f".{suffix}" if suffix else "")
        shape = shape_of(node) if shape is None else shape
        return self.graph.add(Draft(key, name, op, inputs, shape, place, weights))


LoweringRule = Callable[[Lowering, Node], str | View]
"""Returns the key of the draft that makes the node's tensor, or a view of one."""

SomeRule = TypeVar("SomeRule", bound=LoweringRule)


class RuleBook(dict[str, LoweringRule]):
    """Rules by the operators' plain names."""

    def rule(self, *names: str) -> Callable[[SomeRule], SomeRule]:
        """Register the decorated function for operators of these names."""

        def register(function: SomeRule) -> SomeRule:
            self.update(dict.fromkeys(names, function))
            return function

        return register


def operator_name(node: Node) -> str:
    """The operator's plain name: "relu" for ``aten.relu_.default``."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return getattr(node.target, "__name__", str(node.target)).strip("_")
    return str(schema.name).split("::")[-1].strip("_")


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of a node's (first) result; -1 is what depends on values or is no tensor."""
    value = node.meta.get("val")
    value = value[0] if isinstance(value, (tuple, list)) and value else value
    if not isinstance(value, torch.Tensor):
        return (-1,)
    return tuple(size if isinstance(size, int) else -1 for size in value.shape)
