"""The mutable graph between an exported program and a :class:`~autosched.network.graph.Network`.

It has the layers of ``graph.py`` and three that exist only until they are folded or reported.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from autosched.network.graph import Weights
from autosched.network.operators import LayerOp, Padding
from autosched.network.source_places import SourcePlace

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BatchNorm:
    """A scale and shift per channel, as a batch norm in eval mode with all four tensors set."""

    module: "nn.BatchNorm2d"


@dataclass(frozen=True)
class ZeroPad:
    """Rows and columns of zeros around an image; readers that can take them over.

    With a ``value`` of minus infinity they never win a maximum, and only maxima may read them.
    """

    padding: Padding
    value: float = 0.0


@dataclass(frozen=True)
class Unknown:
    """An operator that was refused; its consumers are still examined."""


DraftOp = LayerOp | BatchNorm | ZeroPad | Unknown


@dataclass
class Draft:
    """A layer in the making. ``key`` is unique; ``name`` is the natural name, not yet unique.

    ``reasons`` say why it runs on the host: an operator, and why there is no layer for it.
    """

    key: str
    name: str
    op: DraftOp
    inputs: list[str]
    shape: tuple[int, ...]
    place: SourcePlace = field(default_factory=SourcePlace)
    weights: Weights | None = None
    reasons: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class UnsupportedOperator:
    """An operator that cannot be lowered, where it is, and why; ``for_host``: the host could."""

    name: str
    operator: str
    source: str
    reason: str
    for_host: bool = False

    def __str__(self) -> str:
        where = f" at {self.source}" if self.source else ""
        return f"{self.name} ({self.operator}){where}: {self.reason}"


class DraftGraph:
    """Drafts in topological order, with the rewiring that passes need.

    ``absorbed`` says of each draft that another took over which one that is.
    """

    def __init__(self) -> None:
        self.drafts: dict[str, Draft] = {}
        self.absorbed: dict[str, str] = {}
        self.problems: list[UnsupportedOperator] = []

    def __iter__(self) -> Iterator[Draft]:
        return iter(list(self.drafts.values()))

    def add(self, draft: Draft) -> str:
        """Append a draft whose inputs are already there; returns its key."""
        self.drafts[draft.key] = draft
        return draft.key

    def insert(self, draft: Draft, before: Draft) -> str:
        """Put a draft before one that is going to read it; returns its key."""
        following = list(self.drafts.items())
        place = [key for key, _ in following].index(before.key)
        self.drafts = dict([*following[:place], (draft.key, draft), *following[place:]])
        return draft.key

    def producer(self, draft: Draft) -> Draft:
        """The draft that makes the first input."""
        return self.drafts[draft.inputs[0]]

    def users(self, key: str) -> list[Draft]:
        """The drafts that read ``key``, one entry for each use."""
        return [draft for draft in self for name in draft.inputs if name == key]

    def is_only_user(self, draft: Draft, producer: Draft) -> bool:
        """Whether ``draft`` is the one reader of ``producer`` and reads it once."""
        return len(self.users(producer.key)) == 1 and producer.key in draft.inputs

    def absorb(self, draft: Draft) -> None:
        """Remove a draft whose work its producer has taken over."""
        for user in self.users(draft.key):
            user.inputs = [draft.inputs[0] if name == draft.key else name for name in user.inputs]
        self.absorbed[draft.key] = draft.inputs[0]
        del self.drafts[draft.key]

    def insert_before(self, draft: Draft, new: Draft) -> None:
        """Put a draft whose inputs are already there before another one."""
        drafts = list(self.drafts.values())
        drafts.insert(drafts.index(draft), new)
        self.drafts = {item.key: item for item in drafts}

    def renew(self, draft: Draft, key: str) -> None:
        """Give a draft another key: it no longer makes what it was lowered from."""
        for user in self.users(draft.key):
            user.inputs = [key if name == draft.key else name for name in user.inputs]
        self.drafts = {key if item is draft else name: item for name, item in self.drafts.items()}
        draft.key = key

    def remaining(self, key: str) -> Draft | None:
        """Return the draft that makes what ``key`` made, None if nothing does any more."""
        while key in self.absorbed:
            key = self.absorbed[key]
        return self.drafts.get(key)

    def refuse(self, draft: Draft, operator: str, reason: str, *, for_host: bool = False) -> None:
        """Record that a draft cannot be lowered; ``for_host`` where it could run on the host."""
        self.problems.append(
            UnsupportedOperator(draft.name, operator, draft.place.source, reason, for_host)
        )
        draft.op = Unknown()
