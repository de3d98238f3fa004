"""The explanation of a layer, as a person reads it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console

from autosched.probing.stored_answers import EdgeCost
from autosched.report import words
from autosched.report.differences import field_word, flat_fields
from autosched.report.explanation.explanation import Contender, Explanation, Turndown
from autosched.report.layer_rows import describe, describe_change, place
from autosched.report.output import say
from autosched.report.tables import simple_table
from autosched.schedule.configurations import precision_of
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.serialization import to_plain
from autosched.schedule.tensors import PageLayout, TensorLayout

_OF_A_LAYOUT: tuple[Callable[[TensorLayout], str], ...] = (
    lambda layout: words.count(layout.cores, "core") if layout.is_sharded else "no shards",
    lambda layout: "tiles" if layout.page is PageLayout.TILE else "rows",
    lambda layout: layout.dtype.value,
    lambda layout: f"shards of {field_word(list(layout.shard_shape or ()))}",
    lambda layout: "shards by columns" if layout.transposed else "shards by rows",
    lambda layout: "cores " + field_word([vars(part) for part in layout.grid]),
)
"""What is said of a layout, what is most telling first."""


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
        "", (numbers[0], "configuration", *numbers[1:], "limited by"), right=numbers
    )
    many = len({precision_of(item.config) for item in found.candidates}) > 1
    own = [item for _, item in shown]
    texts = told_apart(own, [candidate_words(item, with_formats=many) for item in own])
    for (number, item), text in zip(shown, texts, strict=True):
        table.add_row(
            f"{'> ' if item.is_chosen else ''}{number}",
            text,
            with_error(item),
            difference_words(item),
            str(item.cores or "-"),
            words.kibibytes(item.l1_bytes),
            limit_words(item),
            style="bold" if item.is_chosen else "",
        )
    console.print(table)
    chosen = found.chosen
    if chosen is not None:
        say(console, f"> is what the best schedule has, trial {found.trial}.")
    elif found.trial is None:
        number = found.rejected_trials
        why = f"{words.count(number, 'trial')} rejected and none accepted" if number else ""
        why = why or "No trial has run yet"
        say(console, f"{why}, so none is chosen; differences are to the fastest.")
    else:
        say(
            console,
            f"What trial {found.trial}, the best, has here is not among what was asked of it alone;"
            " differences are to the fastest.",
        )
    if any(item.is_within_error for _, item in shown):
        whose = "the error" if TimeKind.MEASURED in kinds else "the model's error"
        say(console, f"~ is within {whose} of the difference: either may be the faster.")
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


def limit_words(item: Contender) -> str:
    """Return "reader 62 %; matrix 35 % of peak": what takes most, and the engine nearest to its."""
    busy = item.utilisation
    if not item.limited_by or not busy:
        return item.limited_by or "-"
    name = max(busy, key=lambda one: busy[one])
    return f"{item.limited_by}; {name} {100 * busy[name]:.0f} % of peak"


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
    table = simple_table("", ("times", "kind", "such as", "words"), right=("times",))
    for turndown in turndowns[: top or None]:
        text = " ".join(turndown.message.split())
        if console.is_terminal and len(text) > _WORDS:
            text = f"{text[: _WORDS - 1]}…"
        example = describe(turndown.asked[0].request.config)
        table.add_row(f"{len(turndown.asked):,}", turndown.kind, example, text)
    console.print(table)
    if top and len(turndowns) > top:
        say(console, f"{words.count(len(turndowns) - top, 'other reason')}; --top 0 shows all.")


_WORDS = 240


def told_apart(items: Sequence[Contender], texts: Sequence[str]) -> list[str]:
    """Return the texts of candidates; to those that are the same, what differs is added.

    That is no more than is needed: of where the tensors come from, of where the output goes to,
    then fields of the configuration.
    """
    found = list(texts)
    for text in dict.fromkeys(texts):
        places = [place for place, other in enumerate(texts) if other == text]
        if len(places) > 1:
            for place, more in zip(
                places, _distinctions([items[at] for at in places]), strict=True
            ):
                found[place] += more
    return found


def _distinctions(items: Sequence[Contender]) -> list[str]:
    """Return what tells so many candidates apart, ", from 4 cores, tiles, to rows" for example."""
    sides: dict[str, list[tuple[str, ...]]] = {"from": [], "to": [], "with": []}
    known: list[tuple[str, ...]] = [()] * len(items)
    for side, said in _features(items):
        more = [(*before, word) for before, word in zip(known, said, strict=True)]
        if len(set(more)) > len(set(known)):
            known = more
            sides[side].append(said)
    return [
        "".join(
            f", {side} {', '.join(dict.fromkeys(said[place] for said in parts))}"
            for side, parts in sides.items()
            if parts
        )
        for place in range(len(items))
    ]


def _features(items: Sequence[Contender]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what may be said of each candidate, with the side it is of."""
    for worded in _OF_A_LAYOUT:
        yield "from", tuple(_joined(map(worded, item.layouts[:-1])) for item in items)
        yield "to", tuple(worded(item.layouts[-1]) for item in items)
    fields = [dict(flat_fields(to_plain(item.config))) for item in items]
    for name in dict.fromkeys(name for own in fields for name in own):
        short = name.rpartition(".")[2]
        yield "with", tuple(f"{short} {field_word(own.get(name))}" for own in fields)


def _joined(said: Iterator[str]) -> str:
    return " + ".join(dict.fromkeys(said))


def explanation_plain(study: str, found: Explanation) -> dict[str, Any]:
    """Return what ``autosched explain --json`` prints."""
    return {"study": study, **found.to_plain()}
