"""Which candidates stay in a layer's table."""

from collections.abc import Sequence

from autosched.network.graph import Layer
from autosched.probing.candidates import Choice
from autosched.probing.probe_book import Probed
from autosched.schedule.outcomes import Rejection
from autosched.schedule.tensors import ShardLayout


def joined(choices: Sequence[Choice], known: Choice) -> tuple[Choice, ...]:
    """Return the candidates of a layer with a known one, fastest first, without the dominated."""
    if any(choice.dominates(known) for choice in choices):
        return tuple(choices)
    left = [choice for choice in choices if not known.dominates(choice)]
    return tuple(sorted([*left, known], key=lambda choice: choice.time_us))


def place_of_group(group: Sequence[Choice]) -> tuple[ShardLayout, bool]:
    """Return how candidates with the same layouts are sharded, and whether their output is."""
    return group[0].sharding, group[0].output_layout.is_sharded


def nothing_left(layer: Layer, answers: Sequence[Probed | Rejection]) -> str:
    """Return the message for a layer of which the device accepts nothing, in the device's words."""
    words = next(
        (item.message for item in answers if isinstance(item, Rejection)), "nothing to try"
    )
    return (
        f"layer {layer.name} ({layer.source or 'no source'}): the device rejects every candidate; "
        f"the first said: {words}. A smaller --batch or another --board may leave it room"
    )
