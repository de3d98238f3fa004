"""A time limit is kept, whatever the search is at when time is up."""

import time

from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.probing.probe_book import Phase, ProbeCounts
from autosched.search.open_study import create_study
from autosched.search.run import SilentObserver, StopReason
from autosched.search.settings import Settings
from autosched.search.study import Study
from tests.accept.commands import STUDIES, autosched, database, workplace
from tests.accept.promise import Figures, Kind, Limit, Promise

NET = STUDIES / "resnet18.py"
COMMAND_LIMIT_S = 15.0
STARTING = "beyond a limit of 1 s, up while the device starts"
PROBING = "beyond a limit halfway through the probing of layers"
TRYING = "beyond a limit of 4 s, up while it runs trials"
COMMAND = f"beyond a limit of {COMMAND_LIMIT_S:.0f} s, autosched run"
_FOR_EVER = 100_000


class PhaseClock(SilentObserver):
    """Remembers what a search was at, and when it probed layers, in seconds from its start."""

    def __init__(self) -> None:
        self.phase: Phase | None = None
        self.probing_s: list[float] = []
        self._began = time.monotonic()

    def on_phase(
        self, phase: Phase, done: int, total: int, detail: str, counts: ProbeCounts
    ) -> None:
        del done, total, detail, counts
        self.phase = phase
        if phase is Phase.LAYERS:
            self.probing_s.append(time.monotonic() - self._began)


def overrun_s(study: Study, limit_s: float, phases: set[Phase]) -> float | str:
    """Search until time is up; return by how much the limit was missed, or why that says little."""
    seen = PhaseClock()
    began = time.monotonic()
    study.optimize(trials=_FOR_EVER, timeout_s=limit_s, observer=seen)
    took_s = time.monotonic() - began
    if study.stopped is not StopReason.TIME or seen.phase not in phases:
        return f"needs another limit: this search stopped in {seen.phase} ({study.stopped})"
    return max(0.0, took_s - limit_s)


def halfway_s(study: Study) -> float:
    """Let a search probe all its layers; return when it was halfway through."""
    seen = PhaseClock()
    study.optimize(trials=2, observer=seen)
    return (seen.probing_s[0] + seen.probing_s[-1]) / 2


def command_overrun_s(url: str) -> float | str:
    """The same of the command, whose limit counts from its start."""
    found = autosched(
        "run", NET, "--device", "mock", "--effort", "full", "--storage", url,
        "--timeout", f"{COMMAND_LIMIT_S:.0f}s",
    )  # fmt: skip
    if found["stopped"] != StopReason.TIME.value:
        return f"needs a longer search: this one stopped by itself ({found['stopped']})"
    return max(0.0, found["wall_s"] - COMMAND_LIMIT_S)


def measure() -> Figures:
    loaded = load_network_file(str(NET), None)
    network = capture(loaded.module, loaded.example_inputs, loaded.name)
    full, quick = Settings(device="mock", effort="full"), Settings(device="mock", effort="quick")
    figures: dict[str, float | str] = {}
    with workplace() as directory:
        url = database(directory)
        with create_study(network, "n150", storage=url, name="full", settings=full) as study:
            figures[STARTING] = overrun_s(study, 1.0, {Phase.DEFAULT})
            limit_s = halfway_s(study)
        empty = database(directory, "empty")
        with create_study(network, "n150", storage=empty, name="full", settings=full) as study:
            overrun_s(study, 1.0, {Phase.DEFAULT})  # as the search that was timed began
            figures[PROBING] = overrun_s(study, limit_s, {Phase.LAYERS})
        with create_study(network, "n150", storage=url, name="quick", settings=quick) as study:
            study.optimize()
            figures[TRYING] = overrun_s(study, 4.0, {Phase.SEARCHING})
        figures[COMMAND] = command_overrun_s(database(directory, "command"))
    return figures


PROMISES = (
    Promise(
        "time-limit",
        "A search of ResNet-18 ends within 2 s of its limit, or with the device answer under way, "
        "whatever it is at.",
        tuple(
            Limit(what, Kind.MEASURED, "s", most=2) for what in (STARTING, PROBING, TRYING, COMMAND)
        ),
        measure,
        time_limit_s=180,
        boards=("n150",),
    ),
)
