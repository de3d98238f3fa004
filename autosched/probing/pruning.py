"""Which candidates stay in a layer's table."""

from collections.abc import Callable, Sequence

from autosched.errors import SearchError
from autosched.network.graph import Layer
from autosched.probing.candidates import Choice, undominated
from autosched.probing.probe_book import Probed
from autosched.probing.restrictions import Restriction, allowed
from autosched.schedule.outcomes import Rejection
from autosched.schedule.tensors import ShardLayout, TensorLayout

Split = tuple[tuple[Choice, ...], tuple[Choice, ...]]
"""The candidates that are kept, fastest first, and those that are left out."""
Timing = Callable[[Layer, Choice], Choice | None]
"""Returns a candidate with the time that counts, None if the device rejects it after all."""


def selected(
    layer: Layer,
    found: Sequence[Choice],
    answers: Sequence[Probed | Rejection],
    rules: Sequence[Restriction],
    kept_layouts: int,
    timed: Timing,
) -> Split:
    """Return what neighbours may still want, the undominated of the best layouts; and the rest.

    Raises:
        SearchError: if nothing is found or left, with the device's words.
    """
    if not found:
        raise SearchError(_nothing_left(layer, answers))
    legal = allowed(rules, layer.name, found)
    chosen = _of_the_best_layouts(undominated(legal), kept_layouts)
    counted = [item for item in (timed(layer, choice) for choice in chosen) if item]
    if not counted:
        raise SearchError(
            f"layer {layer.name}: the card rejects all {len(chosen)} candidates that the mock "
            "device accepts; 'autosched doctor' checks that both run the same ttnn"
        )
    counted.sort(key=lambda choice: choice.time_us)
    taken = set(map(id, chosen))
    # What a kept one dominated by its estimate, its time on the card may not.
    rest = (choice for choice in legal if id(choice) not in taken)
    return tuple(counted), undominated(rest, counted)


def joined(choices: Sequence[Choice], known: Choice) -> tuple[Choice, ...]:
    """Return the candidates of a layer with a known one, fastest first, without the dominated."""
    if any(choice.dominates(known) for choice in choices):
        return tuple(choices)
    left = [choice for choice in choices if not known.dominates(choice)]
    return tuple(sorted([*left, known], key=lambda choice: choice.time_us))


def _nothing_left(layer: Layer, answers: Sequence[Probed | Rejection]) -> str:
    """Return the message for a layer of which the device accepts nothing, in its own words."""
    words = next(
        (item.message for item in answers if isinstance(item, Rejection)), "nothing to try"
    )
    return (
        f"layer {layer.name} ({layer.source or 'no source'}): the device rejects every candidate; "
        f"the first said: {words}. A smaller --batch or another --board may leave it room"
    )


def _of_the_best_layouts(choices: Sequence[Choice], kept_layouts: int) -> list[Choice]:
    """Return the candidates of the fastest combinations of layouts, and of each sharding's best."""
    groups: dict[tuple[TensorLayout, ...], list[Choice]] = {}
    for choice in choices:
        groups.setdefault(choice.layouts, []).append(choice)
    ranked = list(groups.values())
    kept = ranked[:kept_layouts]
    places = {_place(group) for group in kept}
    for group in ranked[len(kept) :]:
        if _place(group) not in places:
            places.add(_place(group))
            kept.append(group)
    return [choice for group in kept for choice in group]


def _place(group: Sequence[Choice]) -> tuple[ShardLayout, bool]:
    """Return how candidates with the same layouts are sharded, and whether their output is."""
    return group[0].sharding, group[0].output_layout.is_sharded
