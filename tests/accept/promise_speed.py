"""How long the main job takes, and what it takes of the machine."""

from autosched.bench.speed import measure_speed
from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.network.graph import Network
from autosched.search.settings import Settings
from tests.accept.commands import STUDIES
from tests.accept.promise import Figures, Kind, Limit, Promise

NET = str(STUDIES / "resnet50.py")
EMPTY = "capture to exported schedule, empty database"
FILLED = "the same with stored probes"
AGAINST_ONE = "time over that with --jobs 1, in the same run"
MEMORY = "memory of all processes together"
PROPOSAL = "a proposal of the joint search"
ADD_TRIAL = "storing a trial"


def captured() -> Network:
    loaded = load_network_file(NET, None)
    return capture(loaded.module, loaded.example_inputs, loaded.name)


def measure() -> Figures:
    speed = measure_speed(captured, "n150", Settings(NET, "mock"))
    print(speed)  # noqa: T201 - the log
    return {
        EMPTY: speed.empty_s,
        FILLED: speed.filled_s,
        AGAINST_ONE: speed.empty_s / speed.one_job_s if speed.jobs > 1 else "needs two cores",
        MEMORY: speed.total_rss_bytes / 1e9 if speed.total_rss_bytes else "needs /proc",
        PROPOSAL: speed.proposal_ms,
        ADD_TRIAL: "needs a trial that ran" if speed.add_trial_ms is None else speed.add_trial_ms,
    }


PROMISES = (
    Promise(
        "speed",
        "ResNet-50, batch 1, default effort, until a trial reaches the bound, as autosched run "
        "does by itself: from the network file to the exported schedule, on two cores.",
        (
            Limit(EMPTY, Kind.MEASURED, "s", most=45),
            Limit(FILLED, Kind.MEASURED, "s", most=10),
            Limit(AGAINST_ONE, Kind.MEASURED, most=1),
            Limit(MEMORY, Kind.MEASURED, "GB", most=4),
            Limit(PROPOSAL, Kind.MEASURED, "ms", most=50),
            Limit(ADD_TRIAL, Kind.MEASURED, "ms", most=5),
        ),
        measure,
        time_limit_s=900,
        boards=("n150",),
    ),
)
