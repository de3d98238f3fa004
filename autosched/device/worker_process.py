"""The worker process, and the channel to it.

It opens a device, and answers its parent's requests until that hangs up. It dies with its parent,
whatever becomes of that.
"""

import ctypes
import math
import pickle
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autosched.budget import UNLIMITED, Budget
from autosched.device.machine import open_local_device
from autosched.device.rejections import classify
from autosched.errors import AutoschedError, DeviceError

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


if TYPE_CHECKING:
    from collections.abc import Callable

    from autosched.device.ttnn.local_device import LocalDevice
    from autosched.schedule.outcomes import ExecutedLayer

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the system kill this process when its parent dies."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(channel: Channel) -> None:
    """Open the device the parent names and answer its requests until it hangs up."""
    board, kind, timing = channel.receive()
    try:
        device = open_local_device(board, kind, timing)
    except AutoschedError as error:
        channel.send(error)
        return
    methods: dict[str, Callable[[Any], Any]] = {
        "load": device.load,
        "probe": device.probe,
        "reshard": device.reshard,
        "run": device.run,
    }
    methods |= _executing_methods(device, lambda news: channel.send(News(news)))
    channel.send("ready")
    while True:
        try:
            method, argument = channel.receive()
        except EOFError:
            device.close()
            return
        channel.send(_answer(methods[method], argument))


def _executing_methods(
    device: "LocalDevice", tell: "Callable[[ExecutedLayer], None]"
) -> "dict[str, Callable[[Any], Any]]":
    from autosched.device.soaking import soak_schedule  # noqa: PLC0415 - loads torch
    from autosched.device.ttnn.execution import ExecutingDevice  # noqa: PLC0415 - loads ttnn

    if not isinstance(device, ExecutingDevice):
        return dict.fromkeys(("execute", "execute_layer", "time_alone", "soak"), _refuse)
    return {
        "soak": lambda asked: soak_schedule(device, *asked),
        "execute": lambda asked: device.execute(asked[0], asked[1], tell),
        "execute_layer": device.execute_layer,
        "time_alone": device.time_alone,
    }


def _refuse(_asked: object) -> None:
    raise DeviceError("the mock device executes no kernel: take the simulator or a card")


def _answer(method: "Callable[[Any], Any]", argument: Any) -> Any:
    try:
        return method(argument)
    except AutoschedError as error:
        return error.with_traceback(None)
    except Exception as error:  # a defect must not end the search without a word
        return classify(error)


def serve_parent() -> None:
    """Serve the parent at the other end of the socket whose number is the first argument."""
    die_with_parent()
    serve(Channel(socket.socket(fileno=int(sys.argv[1]))))
