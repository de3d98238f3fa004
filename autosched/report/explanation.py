"""Why a layer is configured as it is: all that was asked of it, and what each comes to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from autosched.cost.model import CostModel, spending
from autosched.network.graph import Layer
from autosched.probing.stored_answers import Asked, EdgeCost, JointPrice
from autosched.report import words
from autosched.report.layer_rows import describe, describe_change, op_l1_bytes, place
from autosched.report.output import say
from autosched.report.tables import simple_table
from autosched.schedule.configurations import LayerConfig, precision_of
from autosched.schedule.outcomes import Rejection, TimeKind
from autosched.schedule.serialization import to_plain
from autosched.schedule.tensors import TensorLayout

WITHIN = 0.841
"""A difference of one standard error: it is slower with this probability."""

_NUMBER = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True)
class Contender:
    """One candidate that the device accepts.

    ``time_us`` is its time alone, ``error_us`` the standard error of it, ``limited_by`` what takes
    most of it, ``utilisation`` the share of the time that each engine would need at its peak.
    ``probability_slower`` is that of its taking longer than the candidate that it is compared with,
    by the model's errors, None where times are measured, or it is that candidate.
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
        return chance is not None and 1.0 - WITHIN < chance < WITHIN

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
    ``keeps_formats`` says.
    """

    layer: Layer
    candidates: tuple[Contender, ...]
    turndowns: tuple[Turndown, ...]
    trial: int | None
    unprobed: str = ""
    keeps_formats: bool = False

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
    probability = None
    if asked is not reference and TimeKind.MEASURED not in (probed.kind, beside.kind):
        probability = cost.probability_faster(beside.outcome.ops, ops)
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


def print_explanation(console: Console, found: Explanation, top: int) -> None:
    """Print the candidates, the ``top`` fastest and the chosen one (0: all), and what they cost."""
    layer = found.layer
    reads = f", reads {' and '.join(layer.inputs)}" if layer.inputs else ""
    shape = "x".join(map(str, layer.shape))
    say(console, f"Layer {layer.name}: {type(layer.op).__name__} to {shape}{reads}", "bold")
    rejected = sum(len(turndown.asked) for turndown in found.turndowns)
    say(
        console,
        f"{words.count(len(found.candidates), 'candidate')} of layers like it accepted by the "
        f"device, {rejected:,} rejected",
    )
    if not found.candidates and not rejected:
        say(console, "Nothing was asked of it yet.", "yellow")
    shown = [
        (number, item)
        for number, item in enumerate(found.candidates, 1)
        if not top or number <= top or item.is_chosen
    ]
    if shown:
        say(console)
        _print_candidates(console, found, shown)
        _print_prices(console, found, shown)
    _print_turndowns(console, found.turndowns, top)


def _print_candidates(
    console: Console, found: Explanation, shown: Sequence[tuple[int, Contender]]
) -> None:
    kinds = {item.kind for _, item in shown}
    said = " and ".join(sorted(kind.value for kind in kinds))
    say(console, f"Candidates, each alone (times {said}, ± the model's standard error)", "bold")
    to_what = "to chosen" if found.chosen is not None else "to fastest"
    numbers = ("#", words.MICRO, to_what, "cores", "L1 KiB")
    table = simple_table(
        "", (numbers[0], "configuration", *numbers[1:], "limited by", "of peak"), right=numbers
    )
    many = len({precision_of(item.config) for item in found.candidates}) > 1
    for number, item in shown:
        table.add_row(
            f"{'> ' if item.is_chosen else ''}{number}",
            candidate_words(item, with_formats=many),
            with_error(item),
            difference_words(item),
            str(item.cores or "-"),
            words.kibibytes(item.l1_bytes),
            item.limited_by or "-",
            utilisation_words(item.utilisation),
            style="bold" if item.is_chosen else "",
        )
    console.print(table)
    chosen = found.chosen
    if chosen is not None:
        say(console, f"> is what the best schedule has, trial {found.trial}.")
    elif found.trial is None:
        say(console, "No trial has run yet, so none is chosen; differences are to the fastest.")
    else:
        say(
            console,
            f"What trial {found.trial}, the best, has here is not among what was asked of it alone;"
            " differences are to the fastest.",
        )
    if any(item.is_within_error for _, item in shown):
        say(console, "~ is within the model's error of the difference: either may be the faster.")
    left = len(found.candidates) - len(shown)
    if left:
        say(console, f"{words.count(left, 'slower candidate')} not shown; --top 0 shows all.")


def candidate_words(item: Contender, *, with_formats: bool = False) -> str:
    """Return a candidate in few words, with where its tensors come from and go to."""
    layouts = [place(layout) for layout in item.layouts]
    inputs = " + ".join(dict.fromkeys(layouts[:-1]))
    text = describe(item.config)
    said = text.split(", ")[0]
    if not (inputs == layouts[-1] == said):
        text = f"{text} ({inputs} to {layouts[-1]})" if inputs else text
    precision = precision_of(item.config)
    if with_formats and precision is not None:
        sums = ", float32 sums" if precision.float32_sums else ""
        text += f"; {precision.weights}, {precision.fidelity}{sums} to {item.layouts[-1].dtype}"
    return text


def with_error(item: Contender) -> str:
    """Return "26.2 ± 1.3", or a measured time with its repeat noise."""
    return f"{words.microseconds(item.time_us)} ± {words.microseconds(item.error_us)}"


def difference_words(item: Contender) -> str:
    """Return "+1.7 ~", the mark where it is within the model's error."""
    if item.probability_slower is None and not item.difference_us:
        return "0"
    told = "0.0" if abs(item.difference_us) < _ALIKE_US else f"{item.difference_us:+,.1f}"
    return f"{told}{' ~' if item.is_within_error else ''}"


def utilisation_words(utilisation: Mapping[str, float]) -> str:
    """Return the engine that is nearest to its peak: "matrix 35 %"."""
    if not utilisation:
        return "-"
    name = max(utilisation, key=lambda one: utilisation[one])
    return f"{name} {100 * utilisation[name]:.0f} %"


def _print_prices(
    console: Console, found: Explanation, shown: Sequence[tuple[int, Contender]]
) -> None:
    say(console)
    if found.unprobed:
        say(console, f"Prices in the network are not known yet: {found.unprobed}", "yellow")
        return
    priced = [(number, item) for number, item in shown if item.price is not None]
    if not priced:
        return
    others = "all other layers chosen for it"
    if found.keeps_formats:
        others += ", in the formats they have"
    say(console, f"In the network, {others} (exactly solved)", "bold")
    numbers = ("#", f"alone {words.MICRO}", f"edges {words.MICRO}", f"network {words.MICRO}")
    reference = _reference(found)
    columns = (*numbers, "difference", "reshards at its edges")
    table = simple_table("", columns, right=(*numbers, "difference"))
    for number, item in priced:
        price = item.price
        assert price is not None  # noqa: S101 - only those that have one
        beside = None if reference is None else price.network_us - reference
        table.add_row(
            f"{'> ' if item.is_chosen else ''}{number}",
            words.microseconds(item.time_us),
            words.microseconds(price.edges_us),
            words.microseconds(price.network_us),
            "-" if beside is None else "0.0" if abs(beside) < _ALIKE_US else f"{beside:+,.1f}",
            "; ".join(map(edge_words, price.edges)) or "none",
            style="bold" if item.is_chosen else "",
        )
    console.print(table)
    for line in price_lines(found):
        say(console, line)


def _reference(found: Explanation) -> float | None:
    """Return what the network takes with the chosen candidate, or at best."""
    chosen = found.chosen
    if chosen is not None and chosen.price is not None:
        return chosen.price.network_us
    prices = [item.price.network_us for item in found.candidates if item.price is not None]
    return min(prices, default=None)


def edge_words(edge: EdgeCost) -> str:
    """Return "conv1 -> add, height 49 -> block 56, 1.5 µs"."""
    where = f"{edge.producer} -> {edge.consumer}" if edge.consumer else f"{edge.producer} waits"
    change = describe_change(*edge.change)
    return f"{where}: {change}, {words.microseconds(edge.time_us)} {words.MICRO}"


def price_lines(found: Explanation) -> list[str]:
    """Return what the chosen candidate gives up alone, and gains for its neighbours."""
    chosen = found.chosen
    if chosen is None or chosen.price is None:
        return []
    fastest = next((item for item in found.candidates if item.price is not None), chosen)
    lines = []
    if fastest is chosen or fastest.time_us == chosen.time_us:
        lines.append("The chosen one is the fastest alone, too, of what the joint search has.")
    elif fastest.price is not None:
        alone_us = chosen.time_us - fastest.time_us
        edges_us = fastest.price.edges_us - chosen.price.edges_us
        network_us = fastest.price.network_us - chosen.price.network_us
        rest_us = network_us + alone_us - edges_us
        lines.append(
            f"Alone it takes {_us(alone_us)} more than the fastest, "
            f"#{found.candidates.index(fastest) + 1}. With that one, reshards at its edges would "
            f"take {_more(edges_us)} and the rest of the network {_more(rest_us)}: "
            f"{_more(network_us)} in all."
        )
    best = min(
        (item for item in found.candidates if item.price is not None),
        key=lambda item: item.price.network_us if item.price else 0.0,
    )
    if best.price is not None and best.price.network_us < chosen.price.network_us - _ALIKE_US:
        beside = chosen.price.network_us - best.price.network_us
        lines.append(
            f"The model's fastest network has #{found.candidates.index(best) + 1}, "
            f"{words.microseconds(beside)} {words.MICRO} less; the best schedule is the one that "
            "risks least among those that the model hardly tells apart (--risk), or ran otherwise "
            "than its parts promised."
        )
    return lines


_ALIKE_US = 0.05


def _us(time_us: float) -> str:
    return f"{words.microseconds(time_us)} {words.MICRO}"


def _more(time_us: float) -> str:
    if abs(time_us) < _ALIKE_US:
        return "as long"
    return f"{_us(abs(time_us))} {'more' if time_us > 0 else 'less'}"


def _print_turndowns(console: Console, turndowns: Sequence[Turndown], top: int) -> None:
    if not turndowns:
        return
    say(console)
    say(console, "Rejected, in ttnn's words; accuracy: in ours, known to go wrong", "bold")
    table = simple_table("", ("times", "kind", "words", "such as"), right=("times",))
    for turndown in turndowns[: top or None]:
        text = " ".join(turndown.message.split())
        shown = text if len(text) <= _WORDS else f"{text[: _WORDS - 1]}…"
        example = describe(turndown.asked[0].request.config)
        table.add_row(f"{len(turndown.asked):,}", turndown.kind, shown, example)
    console.print(table)
    if top and len(turndowns) > top:
        say(console, f"{words.count(len(turndowns) - top, 'other reason')}; --top 0 shows all.")


_WORDS = 240


def explanation_plain(study: str, found: Explanation) -> dict[str, Any]:
    """Return what ``autosched explain --json`` prints."""
    return {"study": study, **found.to_plain()}
