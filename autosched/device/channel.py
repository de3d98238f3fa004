"""Messages between a device's worker process and its parent, each within a budget.

Neither end trusts the other to read or write: a stopped process does neither, and a message may
stop half-way. A message is pickled, with its length before it.
"""

import math
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Any

from autosched.budget import UNLIMITED, Budget

_LENGTH = struct.Struct("!Q")
_CHUNK_BYTES = 1 << 20


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

    def send(self, message: Any, budget: Budget = UNLIMITED) -> None:
        """Send a message.

        Raises:
            TimeoutError: if the budget is up before the other end has taken all of it.
            OSError: if the other end has hung up.
        """
        # Tensors travel by value: torch's own pickling of shared memory is multiprocessing's.
        data = pickle.dumps(message)
        for part in (_LENGTH.pack(len(data)), data):
            rest = memoryview(part)
            while rest:
                self._wait(budget)
                rest = rest[self._end.send(rest[:_CHUNK_BYTES]) :]

    def receive(self, budget: Budget = UNLIMITED) -> Any:
        """Return the next message.

        Raises:
            TimeoutError: if the budget is up before all of it is there.
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
            self._wait(budget)
            read = self._end.recv_into(rest, min(len(rest), _CHUNK_BYTES))
            if not read:
                raise EOFError
            rest = rest[read:]
        return data

    def _wait(self, budget: Budget) -> None:
        """Let the next call on the socket take what is left of the budget."""
        left_s = budget.left_s
        if left_s <= 0.0:
            raise TimeoutError
        self._end.settimeout(left_s if math.isfinite(left_s) else None)
