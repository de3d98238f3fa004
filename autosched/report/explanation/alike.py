"""What tells candidates apart that are described in the same words."""

from collections.abc import Callable, Iterator, Sequence

from autosched.report.differences import field_word, flat_fields
from autosched.report.explanation.explanation import Contender
from autosched.report.words import count
from autosched.schedule.serialization import to_plain
from autosched.schedule.tensors import PageLayout, TensorLayout

_LAYOUT: tuple[Callable[[TensorLayout], str], ...] = (
    lambda layout: count(layout.cores, "core") if layout.is_sharded else "no shards",
    lambda layout: "tiles" if layout.page is PageLayout.TILE else "rows",
    lambda layout: layout.dtype.value,
    lambda layout: f"shards of {field_word(list(layout.shard_shape or ()))}",
    lambda layout: "shards by columns" if layout.transposed else "shards by rows",
    lambda layout: "cores " + field_word([vars(part) for part in layout.grid]),
)
"""What is said of a layout, what is most telling first."""


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
    for side, words in _features(items):
        more = [(*before, word) for before, word in zip(known, words, strict=True)]
        if len(set(more)) > len(set(known)):
            known = more
            sides[side].append(words)
    return [
        "".join(
            f", {side} {', '.join(dict.fromkeys(words[place] for words in said))}"
            for side, said in sides.items()
            if said
        )
        for place in range(len(items))
    ]


def _features(items: Sequence[Contender]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what may be said of each candidate, with the side it is of."""
    for say in _LAYOUT:
        yield "from", tuple(_joined(map(say, item.layouts[:-1])) for item in items)
        yield "to", tuple(say(item.layouts[-1]) for item in items)
    fields = [dict(flat_fields(to_plain(item.config))) for item in items]
    for name in dict.fromkeys(name for own in fields for name in own):
        short = name.rpartition(".")[2]
        yield "with", tuple(f"{short} {field_word(own.get(name))}" for own in fields)


def _joined(words: Iterator[str]) -> str:
    return " + ".join(dict.fromkeys(words))
