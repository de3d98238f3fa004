import pytest

from autosched.network.graph import Layer
from autosched.network.operators import Reshape
from autosched.probing.dead_ends import nothing_left
from autosched.schedule.outcomes import Rejection, RejectionKind

LAYER = Layer("flat", Reshape(), ("x",), (1, 784), "net.py:4")
NO_ROOM = Rejection(RejectionKind.CIRCULAR_BUFFER_OVERFLOW, "buffers grow to 9 B")
NO_SLICE = Rejection(RejectionKind.INVALID, "Operation requires more memory than available")
WRONG = Rejection(RejectionKind.ACCURACY, "computes zeros")
UNTAKEN = Rejection(RejectionKind.INVALID, "takes multiples of 32 channels")
DEAD = Rejection(RejectionKind.CRASH, "the worker process died")


@pytest.mark.parametrize("nearest", [NO_ROOM, NO_SLICE])
def test_room_is_spoken_of_where_memory_was_the_matter(nearest: Rejection) -> None:
    said = nothing_left(LAYER, [UNTAKEN, nearest, WRONG], batch=8)
    assert said == (
        "layer flat (net.py:4): the device rejects every candidate; the nearest said: "
        f"{nearest.message}. A smaller --batch or another --board may leave it room"
    )


def test_one_image_is_no_smaller_batch() -> None:
    assert "--batch" not in nothing_left(LAYER, [NO_ROOM], batch=1)


@pytest.mark.parametrize(
    ("answers", "helps"),
    [
        ([UNTAKEN, WRONG], "--allow-known-faults"),
        ([DEAD, UNTAKEN], "Room is not the matter"),
        ([DEAD], "autosched doctor"),
        ([], "Room is not the matter"),
    ],
)
def test_the_way_out_is_that_of_what_was_nearest(answers: list[Rejection], helps: str) -> None:
    said = nothing_left(LAYER, answers, batch=8)
    assert helps in said
    assert "--batch" not in said
