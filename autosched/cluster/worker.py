"""A worker of a cluster: this machine's devices, at work for whatever studies the scheduler has.

It is a worker of Dask's with one thread for each device. Where the scheduler is lost it waits for
it to come back; where its own device can no longer be used it ends.
"""

import asyncio
import signal
import warnings
from contextlib import suppress
from dataclasses import dataclass

from distributed import Worker
from distributed.core import Status

from autosched.boards import Board
from autosched.cluster.addresses import (
    check_certificates,
    check_listening,
    checked_address,
    host_to_listen_at,
    look_for,
    quiet_logs,
    words_of,
)
from autosched.cluster.connection import Tell
from autosched.cluster.offers import Offer, resources
from autosched.cluster.tasks import Devices, MakeDevice
from autosched.device.machine import choose_device, firmware_of, kernel_compiler
from autosched.device.pool import check_jobs, default_jobs
from autosched.device.which_board import wanted_board
from autosched.device.worker import WorkerDevice
from autosched.errors import ClusterError

_CONNECT_S = 10.0
_WAIT_S = (1.0, 2.0, 5.0, 10.0)
"""Between attempts to find the scheduler; the last one stands for all that follow."""
_LOOK_S = 0.2
_END_S = 20.0


@dataclass(frozen=True)
class Equipment:
    """What a worker brings: devices of a kind and board, and the compiler of their kernels.

    ``board`` is what a card is; a mock device is whatever board is asked for. ``make`` makes a
    device in a process of its own, from board, kind and timing.
    """

    kind: str
    board: Board
    devices: int = 1
    compiler: str = ""
    make: MakeDevice = WorkerDevice


def equipment_of(board: str | None, device: str, jobs: int | None) -> Equipment:
    """Return what this machine can bring: its card, or so many mock devices (None: by its cores).

    ``board`` None is the card that is there. A card has room for one process.

    Raises:
        BoardError: if there is no such board, kind of device or card.
        DeviceError: if the card cannot be opened, or so many devices have no room.
    """
    known = wanted_board(board, device)
    if choose_device(device) == "silicon":
        return Equipment("silicon", known, compiler=kernel_compiler())
    check_jobs(jobs)
    return Equipment("mock", known, default_jobs() if jobs is None else jobs)


def work(address: str, equipment: Equipment, tell: Tell, patience_s: float | None = None) -> None:
    """Serve a scheduler until SIGINT or SIGTERM.

    ``tell`` is handed a line for whatever happens. ``patience_s`` is how long a scheduler that is
    not there is waited for; None: without end.

    Raises:
        ClusterError: if the address is none, or unsafe; if the scheduler was not there for so long;
            or if the device can no longer be used.
    """
    quiet_logs()
    warnings.filterwarnings("ignore", module="distributed")
    checked = checked_address(address)
    check_certificates(checked, "worker")
    asyncio.run(_work(checked, equipment, tell, patience_s))


async def _work(address: str, equipment: Equipment, tell: Tell, patience_s: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    waited_s, attempt = 0.0, 0
    while not stop.is_set():
        try:
            await _serve(address, equipment, tell, stop)
            waited_s, attempt = 0.0, 0
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            if patience_s is not None and waited_s >= patience_s:
                raise ClusterError(
                    f"no scheduler at {address} for {waited_s:.0f} s ({words_of(error)}); start "
                    "one with: dask scheduler --host 127.0.0.1"
                ) from None
            if attempt == 0:
                tell(f"No scheduler at {address} ({words_of(error)}); waiting for it.")
        pause_s = _WAIT_S[min(attempt, len(_WAIT_S) - 1)]
        attempt += 1
        waited_s += pause_s
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)
    tell("The worker has ended.")


async def _serve(address: str, equipment: Equipment, tell: Tell, stop: asyncio.Event) -> None:
    """Be a worker until the scheduler is lost, or ``stop`` is set.

    Raises:
        ClusterError: if the device can no longer be used.
        OSError: if there is no scheduler.
    """
    await asyncio.to_thread(look_for, address)
    kind = equipment.kind
    offer = Offer.of(kind, equipment.board.name, firmware_of(kind))
    devices = Devices(equipment.devices, offer.resource, equipment.make)
    worker = Worker(
        address,
        nthreads=equipment.devices,
        host=host_to_listen_at(address),
        dashboard_address="127.0.0.1:0",
        resources=resources(offer, equipment.devices, equipment.compiler),
        plugins=(devices,),
        memory_limit=0,
        death_timeout=_CONNECT_S,
        validate=False,
    )
    await asyncio.wait_for(worker, _CONNECT_S)
    try:
        check_listening(address, worker.scheduler.address)
        many = "" if equipment.devices == 1 else f"{equipment.devices} times "
        tell(f"At work for {address}: {many}{offer}, ttnn {offer.ttnn_version}.")
        ends = [asyncio.ensure_future(item.wait()) for item in (stop, devices.gave_up)]
        try:
            while worker.status == Status.running:
                done, _waiting = await asyncio.wait(ends, timeout=_LOOK_S)
                if done:
                    break
        finally:
            for end in ends:
                end.cancel()
    finally:
        with suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(worker.close(timeout=_END_S), _END_S + 1.0)
        await worker.finished()
    if devices.gave_up.is_set():
        raise ClusterError(f"this worker has given up: {devices.trouble}")
    if not stop.is_set():
        tell(f"Lost the scheduler at {address}.")
