"""The worker process: opens a device, and answers its parent's requests until that hangs up.

It dies with its parent, whatever becomes of that.
"""

import ctypes
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from autosched.device.channel import Channel, News
from autosched.device.machine import open_local_device
from autosched.device.rejections import classify
from autosched.errors import AutoschedError, DeviceError

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
    from autosched.device.ttnn.execution import ExecutingDevice  # noqa: PLC0415 - loads ttnn

    if not isinstance(device, ExecutingDevice):
        return {"execute": _refuse, "execute_layer": _refuse, "time_alone": _refuse}
    return {
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
