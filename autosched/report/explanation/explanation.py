"""Why a layer is configured as it is: all that was asked of it, and what each comes to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosched.cost.model import CostModel, spending
from autosched.cost.uncertainty import chance_below_zero, is_within_error
from autosched.network.graph import Layer
from autosched.probing.probe_book import Probed
from autosched.probing.stored_answers import Asked, EdgeCost, JointPrice
from autosched.report.layer_rows import describe, describe_change, op_l1_bytes
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import Rejection, TimeKind
from autosched.schedule.serialization import to_plain
from autosched.schedule.tensors import TensorLayout

_NUMBER = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True)
class Contender:
    """One candidate that the device accepts.

    ``time_us`` is its time alone, ``error_us`` the standard error of it, ``limited_by`` what takes
    most of it, ``utilisation`` the share of the time that each engine would need at its peak.
    ``probability_slower`` is that of its taking longer than the candidate that it is compared with,
    by the errors of both, None of that candidate itself.
    ``price`` is of the network with it, None where it is not among what the joint search chooses
    from, or nothing fits with it.
    """

    asked: Asked
    time_us: float
    error_us: float
    kind: TimeKind
    cores: int
    l1_bytes: int
    limited_by: str
    utilisation: Mapping[str, float]
    is_chosen: bool
    difference_us: float
    probability_slower: float | None
    is_offered: bool
    price: JointPrice | None

    @property
    def config(self) -> LayerConfig:
        """Its configuration."""
        return self.asked.request.config

    @property
    def layouts(self) -> tuple[TensorLayout, ...]:
        """Where its inputs lie, and its output."""
        probed = self.asked.probed
        assert probed is not None  # noqa: S101 - a rejection is no candidate
        return (*probed.outcome.input_layouts, probed.outcome.output_layout)

    @property
    def is_within_error(self) -> bool:
        """Whether it differs by less than the standard error of the difference."""
        chance = self.probability_slower
        return chance is not None and is_within_error(chance)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON types."""
        price = self.price
        return {
            "configuration": to_plain(self.config),
            "words": describe(self.config),
            "input_layouts": [str(layout) for layout in self.layouts[:-1]],
            "output_layout": str(self.layouts[-1]),
            "time_us": self.time_us,
            "error_us": self.error_us,
            "time_kind": self.kind.value,
            "cores": self.cores,
            "l1_bytes": self.l1_bytes,
            "limited_by": self.limited_by or None,
            "utilisation": dict(self.utilisation),
            "chosen": self.is_chosen,
            "difference_us": self.difference_us,
            "probability_slower": self.probability_slower,
            "within_error": self.is_within_error,
            "offered": self.is_offered,
            "network_us": None if price is None else price.network_us,
            "reshards": None if price is None else [_edge_plain(edge) for edge in price.edges],
        }


def _edge_plain(edge: EdgeCost) -> dict[str, Any]:
    return {
        "producer": edge.producer,
        "consumer": edge.consumer,
        "change": describe_change(*edge.change),
        "time_us": edge.time_us,
    }


@dataclass(frozen=True)
class Turndown:
    """What was rejected in the same words but for numbers; ``message`` is the first one's."""

    kind: str
    message: str
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class Explanation:
    """All that was asked of a layer; ``candidates`` are the fastest first.

    ``unprobed`` says why there are no prices in the network, "" where there are. ``trial`` is the
    best one's number, None where nothing ran yet: differences are then to the fastest. Where
    formats were searched for, prices are of networks in which all other layers keep theirs, which
    ``keeps_formats`` says. ``rejected_trials`` are those that ran where none was accepted.
    """

    layer: Layer
    candidates: tuple[Contender, ...]
    turndowns: tuple[Turndown, ...]
    trial: int | None
    unprobed: str = ""
    keeps_formats: bool = False
    rejected_trials: int = 0

    @property
    def chosen(self) -> Contender | None:
        """The candidate that the best schedule has."""
        return next((item for item in self.candidates if item.is_chosen), None)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON types: all that was asked, each rejection in ttnn's words."""
        return {
            "layer": self.layer.name,
            "operator": type(self.layer.op).__name__,
            "parameters": to_plain(self.layer.op),
            "shape": list(self.layer.shape),
            "trial": self.trial,
            "candidates": [item.to_plain() for item in self.candidates],
            "rejected": [
                {
                    "kind": turndown.kind,
                    "message": asked.answer.message,
                    "configuration": to_plain(asked.request.config),
                    "words": describe(asked.request.config),
                }
                for turndown in self.turndowns
                for asked in turndown.asked
                if isinstance(asked.answer, Rejection)
            ],
            "unprobed": self.unprobed or None,
            "keeps_formats": self.keeps_formats,
        }


def explain_choice(
    layer: Layer,
    asked: Sequence[Asked],
    cost: CostModel,
    chosen: Asked | None,
    prices: Mapping[Asked, JointPrice | None],
    *,
    trial: int | None,
    unprobed: str = "",
) -> Explanation:
    """Return the explanation of a layer.

    ``prices`` are of what the joint search chooses from, None where nothing fits with it or time
    was up.
    """
    timed = sorted(
        (item for item in asked if item.probed is not None),
        key=lambda item: item.probed.time_us if item.probed else 0.0,
    )
    reference = chosen or (timed[0] if timed else None)
    candidates = tuple(_candidate(item, cost, reference, chosen, prices) for item in timed)
    return Explanation(layer, candidates, _turndowns(asked), trial, unprobed)


def _candidate(
    asked: Asked,
    cost: CostModel,
    reference: Asked | None,
    chosen: Asked | None,
    prices: Mapping[Asked, JointPrice | None],
) -> Contender:
    probed, beside = asked.probed, None if reference is None else reference.probed
    assert probed is not None  # noqa: S101 - asked of what ran alone
    assert beside is not None  # noqa: S101 - the same
    ops = probed.outcome.ops
    spent = spending(map(cost.predict, ops)) if ops else None
    probability = None if asked is reference else _chance_slower(probed, beside, cost)
    return Contender(
        asked,
        probed.time_us,
        probed.time_us * probed.stderr_log,
        probed.kind,
        max((op.cores for op in ops), default=0),
        max(map(op_l1_bytes, ops), default=0),
        "" if spent is None else spent.limit,
        {} if spent is None else spent.utilisation,
        asked is chosen,
        probed.time_us - beside.time_us,
        probability,
        asked in prices,
        prices.get(asked),
    )


def _chance_slower(probed: Probed, beside: Probed, cost: CostModel) -> float:
    """Return how likely a candidate is slower than another one.

    Errors of two estimates are correlated, those of measured times are not.
    """
    if TimeKind.MEASURED not in (probed.kind, beside.kind):
        return cost.probability_faster(beside.outcome.ops, probed.outcome.ops)
    errors_us = (item.time_us * item.stderr_log for item in (probed, beside))
    variance = sum(error_us**2 for error_us in errors_us)
    return chance_below_zero(beside.time_us - probed.time_us, variance)


def _turndowns(asked: Sequence[Asked]) -> tuple[Turndown, ...]:
    """Return the rejections, those in the same words together, the most frequent first."""
    groups: dict[tuple[str, str], list[Asked]] = {}
    for item in asked:
        if isinstance(item.answer, Rejection):
            text = _NUMBER.sub("#", " ".join(item.answer.message.split()))
            groups.setdefault((item.answer.kind.value, text), []).append(item)
    ranked = sorted(groups.items(), key=lambda pair: -len(pair[1]))
    return tuple(Turndown(kind, _said(items[0]), tuple(items)) for (kind, _), items in ranked)


def _said(asked: Asked) -> str:
    return asked.answer.message if isinstance(asked.answer, Rejection) else ""
