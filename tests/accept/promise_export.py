"""What is exported is what was found, byte for byte, and stays readable."""

from pathlib import Path

from autosched.export.loading import load_schedule
from autosched.export.saving import save_schedule
from tests.accept.commands import STUDIES, autosched, database, workplace
from tests.accept.frame import ROOT
from tests.accept.promise import EQUAL_PERCENT, Figures, Kind, Limit, Promise, off_percent

NET = STUDIES / "resnet18.py"
BEFORE = ROOT / "tests" / "accept" / "data" / "resnet18_n150.py"
"""The best schedule of ResNet-18 as it was exported before the rooms were rebuilt."""
EARLIER = (BEFORE, STUDIES / "baselines" / "resnet50_n150_b16_hand_tuned.py")
CHECKED = "exported schedule's latency beside that of its trial"
BYTES = "exports of one schedule that differ, of three"
LOADED = "schedules of earlier versions that load"
RUN = "latency of ResNet-18's earlier schedule, run today"


def checked_us(file: Path) -> float:
    """Run an exported schedule and return its latency."""
    return float(autosched("check", file, "--net", NET, "--device", "mock")["latency_us"])


def measure() -> Figures:
    with workplace() as directory:
        file, again, loaded = (directory / f"{name}.py" for name in ("first", "again", "loaded"))
        url = database(directory)
        run = autosched(
            "run", NET, "--effort", "quick", "--device", "mock", "--storage", url, "--export", file
        )
        autosched("export", run["study"], "-o", again, "--storage", url)
        save_schedule(load_schedule(file), loaded)
        return {
            CHECKED: off_percent(checked_us(file), run["latency_us"]),
            BYTES: sum(other.read_bytes() != file.read_bytes() for other in (again, loaded)),
            LOADED: sum(bool(load_schedule(path).layers) for path in EARLIER),
            RUN: checked_us(BEFORE),
        }


PROMISES = (
    Promise(
        "export",
        "An exported schedule takes as long as its trial did, is the same bytes however often it "
        "is exported, and one of an earlier version still loads and runs (ResNet-18, quick).",
        (
            Limit(CHECKED, Kind.ESTIMATED, "%", most=EQUAL_PERCENT),
            Limit(BYTES, Kind.COUNTED, most=0, least=0),
            Limit(LOADED, Kind.COUNTED, most=len(EARLIER), least=len(EARLIER)),
            Limit(RUN, Kind.ESTIMATED, "µs", most=455),
        ),
        measure,
        time_limit_s=300,
        boards=("n150",),
    ),
)
