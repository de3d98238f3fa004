"""A time limit is kept, whatever the search is at when time is up."""

import time

from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.network.graph import Network
from autosched.search.loop import StopReason
from autosched.search.open_study import create_study
from autosched.search.settings import Settings
from tests.accept.commands import STUDIES, autosched, database, workplace
from tests.accept.promise import Figures, Kind, Limit, Promise

NET = STUDIES / "resnet18.py"
LIMITS_S = (1.0, 5.0, 12.0)
"""Short of the device's start, in the probing of layers, and later."""
COMMAND_LIMIT_S = 15.0
COMMAND = f"beyond a limit of {COMMAND_LIMIT_S:.0f} s, autosched run"


def overrun(limit_s: float) -> str:
    return f"beyond a limit of {limit_s:.0f} s"


def overrun_s(network: Network, url: str, limit_s: float) -> float | str:
    settings = Settings(device="mock")
    name = f"limit {limit_s}"
    with create_study(network, "n150", storage=url, name=name, settings=settings) as study:
        began = time.monotonic()
        study.optimize(timeout_s=limit_s)
        took_s = time.monotonic() - began
        if study.stopped is not StopReason.TIME:
            return f"needs a longer search: this one stopped by itself ({study.stopped})"
    return max(0.0, took_s - limit_s)


def command_overrun_s(url: str) -> float | str:
    """The same of the command, whose limit counts from its start."""
    found = autosched(
        "run", NET, "--device", "mock", "--storage", url, "--timeout", f"{COMMAND_LIMIT_S:.0f}s"
    )
    if found["stopped"] != StopReason.TIME.value:
        return f"needs a longer search: this one stopped by itself ({found['stopped']})"
    return max(0.0, found["wall_s"] - COMMAND_LIMIT_S)


def measure() -> Figures:
    loaded = load_network_file(str(NET), None)
    network = capture(loaded.module, loaded.example_inputs, loaded.name)
    with workplace() as directory:
        figures = {
            overrun(limit_s): overrun_s(network, database(directory, f"{limit_s}"), limit_s)
            for limit_s in LIMITS_S
        }
        return {**figures, COMMAND: command_overrun_s(database(directory, "command"))}


PROMISES = (
    Promise(
        "time-limit",
        "A search of ResNet-18 with --timeout ends within 2 s of its limit, or with the device "
        "answer under way.",
        tuple(
            Limit(what, Kind.MEASURED, "s", most=2) for what in (*map(overrun, LIMITS_S), COMMAND)
        ),
        measure,
        time_limit_s=120,
        boards=("n150",),
    ),
)
