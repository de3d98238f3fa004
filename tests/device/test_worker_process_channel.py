"""Messages that arrive whole, or not in time."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from autosched.budget import Budget
from autosched.device.worker_process import Channel

LARGE = b"x" * (8 << 20)
"""More than lies between two processes."""


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    here, there = map(Channel, socket.socketpair())
    yield here, there
    here.close()
    there.close()


def test_a_large_message_arrives_whole(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    sender = threading.Thread(target=here.send, args=({"weights": LARGE},))
    sender.start()
    assert there.receive(Budget.of(60)) == {"weights": LARGE}
    sender.join()


def test_sending_to_who_does_not_read_ends_in_time(ends: tuple[Channel, Channel]) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        ends[0].send(LARGE, Budget.of(0.2))
    assert time.monotonic() - began < 30


def test_half_a_message_is_waited_for_no_longer_than_any() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(b"\0\0\0\0\0\0\1\0half")
        with pytest.raises(TimeoutError):
            Channel(there).receive(Budget.of(0.2))


def test_a_trickle_does_not_extend_the_time() -> None:
    """Each byte comes in time, the message does not."""
    here, there = socket.socketpair()
    with here, there:
        here.sendall(b"\0\0\0\0\0\1\0\0")
        done = threading.Event()

        def trickle() -> None:
            while not done.wait(0.02):
                here.send(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            with pytest.raises(TimeoutError):
                Channel(there).receive(Budget.of(0.3))
        finally:
            done.set()
            thread.join()


def test_hanging_up_ends_the_wait(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    here.close()
    with pytest.raises(EOFError):
        there.receive()
    with pytest.raises(BrokenPipeError):
        there.send("anyone?")


def test_an_answer_that_is_there_counts_when_the_time_is_up(ends: tuple[Channel, Channel]) -> None:
    here, there = ends
    here.send("answer")
    there.allow(0.0)
    assert there.receive(Budget.of(0.0)) == "answer"


def test_time_in_which_the_process_was_stopped_does_not_count(
    ends: tuple[Channel, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was for an hour, in its first wait; the answer comes in the second."""
    here, there = ends
    now, stopped_s = [0.0], [3600.0, 1.0]

    def polled(_timeout_ms: float) -> list[tuple[int, int]]:
        now[0] += stopped_s.pop(0) if stopped_s else 1.0
        return [] if stopped_s else [(0, select.POLLIN)]

    poll = SimpleNamespace(register=lambda *_: None, poll=polled)
    here.send("answer")
    monkeypatch.setattr(
        "autosched.device.worker_process.time", SimpleNamespace(monotonic=lambda: now[0])
    )
    monkeypatch.setattr(
        "autosched.device.worker_process.select",
        SimpleNamespace(poll=lambda: poll, POLLIN=select.POLLIN, POLLOUT=select.POLLOUT),
    )
    there.allow(120.0)
    assert there.receive() == "answer"


def test_a_limit_ends_the_wait_as_a_budget_does(ends: tuple[Channel, Channel]) -> None:
    _, there = ends
    there.allow(0.2)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        there.receive()
    assert time.monotonic() - began < 30
