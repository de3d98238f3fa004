"""Messages between a device's worker process and its parent, each within a budget.

Neither end trusts the other to read or write: a stopped process does neither, and a message may
stop half-way. A message is pickled, with its length before it.
"""

import math
import pickle
import select
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from autosched.budget import UNLIMITED, Budget

_LENGTH = struct.Struct("!Q")
_CHUNK_BYTES = 1 << 20
_SLICE_S = 1.0


@dataclass(frozen=True)
class News:
    """What is said before an answer, for whoever watches."""

    value: Any


class Channel:
    """One end of a pair of connected sockets, for one caller at a time.

    Once :meth:`send` or :meth:`receive` has raised anything, a message may be left half-way: the
    channel is of no more use than to be closed.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._left_s = math.inf

    def allow(self, seconds: float) -> None:
        """Let what follows take so long, of the time in which this process runs.

        While it is stopped (Ctrl-Z, a container that is paused) the other end may be, too.
        """
        self._left_s = seconds

    def send(self, message: Any, budget: Budget = UNLIMITED) -> None:
        """Send a message.

        Raises:
            TimeoutError: if the time is up before the other end has taken all of it.
            OSError: if the other end has hung up.
        """
        # Tensors travel by value: torch's own pickling of shared memory is multiprocessing's.
        data = pickle.dumps(message)
        for part in (_LENGTH.pack(len(data)), data):
            rest = memoryview(part)
            while rest:
                self._wait(budget, select.POLLOUT)
                with suppress(BlockingIOError):
                    rest = rest[self._end.send(rest[:_CHUNK_BYTES], socket.MSG_DONTWAIT) :]

    def receive(self, budget: Budget = UNLIMITED) -> Any:
        """Return the next message.

        Raises:
            TimeoutError: if the time is up before all of it is there.
            EOFError: if the other end has hung up.
            OSError: if the other end has died.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, budget))
        return pickle.loads(self._read(length, budget))  # noqa: S301 - our own parent or child

    def close(self) -> None:
        """Hang up; idempotent."""
        self._end.close()

    def _read(self, length: int, budget: Budget) -> bytearray:
        data = bytearray(length)
        rest = memoryview(data)
        while rest:
            self._wait(budget, select.POLLIN)
            read = self._end.recv_into(rest, min(len(rest), _CHUNK_BYTES))
            if not read:
                raise EOFError
            rest = rest[read:]
        return data

    def _wait(self, budget: Budget, event: int) -> None:
        """Wait until the socket can be read or written, as long as there is time.

        What is there already counts when the time is up as well.
        """
        waiting = select.poll()
        waiting.register(self._end, event)
        while True:
            slice_s = min(max(0.0, min(budget.left_s, self._left_s)), _SLICE_S)
            began = time.monotonic()
            is_ready = waiting.poll(math.ceil(1000 * slice_s))
            # What took much longer than was asked for: it was stopped meanwhile.
            self._left_s -= min(time.monotonic() - began, 2 * _SLICE_S)
            if is_ready:
                return
            if slice_s <= 0.0:
                raise TimeoutError
