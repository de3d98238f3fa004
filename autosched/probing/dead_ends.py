"""What to say of a layer of which a device accepts nothing: why, and what helps."""

from collections.abc import Sequence

from autosched.network.graph import Layer
from autosched.probing.probe_book import Probed
from autosched.schedule.outcomes import INCONCLUSIVE, MEMORY_KINDS, Rejection, RejectionKind

_ROOM_KINDS = (*MEMORY_KINDS, RejectionKind.CIRCULAR_BUFFER_OVERFLOW)
# What ttnn says where a core has no room, though its kind does not tell.
_ROOM_WORDS = ("Out of Memory", "more memory than available", "exceeds worst-case CB size")


def nothing_left(layer: Layer, answers: Sequence[Probed | Rejection], batch: int) -> str:
    """Return the message for a layer of which the device accepts nothing, in its own words.

    They are those on the candidate that came nearest: one that lacks nothing but room before one
    that goes wrong on a card, and that before one that ttnn does not take at all. ``batch`` is the
    network's.
    """
    place = f"layer {layer.name} ({layer.source or 'no source'})"
    rejections = [answer for answer in answers if isinstance(answer, Rejection)]
    if not rejections:
        return f"{place}: there is no candidate to ask the device for. {_OTHER_LAYER}"
    nearest = min(rejections, key=_distance)
    return (
        f"{place}: the device rejects every candidate; the nearest said: {nearest.message}. "
        f"{_way_out(nearest, batch)}"
    )


def _distance(rejection: Rejection) -> int:
    if lacks_room(rejection):
        return 0
    if rejection.kind is RejectionKind.ACCURACY:
        return 1
    return 3 if rejection.kind in INCONCLUSIVE else 2


def lacks_room(rejection: Rejection) -> bool:
    """Whether a rejection is about memory: of a core, or of the device."""
    return rejection.kind in _ROOM_KINDS or any(words in rejection.message for words in _ROOM_WORDS)


_OTHER_LAYER = (
    "Room is not the matter: ttnn lacks this layer in this shape. Give the network another one in "
    "its place, or the parts before and after it by themselves (NET.PY:NAME)"
)


def _way_out(nearest: Rejection, batch: int) -> str:
    """Return what may help against a rejection, and nothing that cannot."""
    if lacks_room(nearest):
        smaller = "A smaller --batch or another" if batch > 1 else "Another"
        return f"{smaller} --board may leave it room"
    if nearest.kind is RejectionKind.ACCURACY:
        return (
            "It runs, and goes wrong on a card: another --board or other --activations may be "
            "right, and --allow-known-faults takes it where only a rule speaks against it"
        )
    if nearest.kind in INCONCLUSIVE:
        return (
            "That says nothing for certain of the layer: 'autosched doctor' checks the machine, "
            "and the study asks again when it goes on"
        )
    return _OTHER_LAYER
