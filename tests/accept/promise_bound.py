"""The bound is one of everything probed, however few candidates the joint search keeps."""

from dataclasses import replace

from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.network.graph import Network
from autosched.search.open_study import create_study
from autosched.search.settings import Settings
from autosched.space.efforts import QUICK, find_effort
from tests.accept.commands import STUDIES, database, workplace
from tests.accept.promise import EQUAL_PERCENT, Figures, Kind, Limit, Promise, percent_above

WIDTHS = {"4": 4, "8": 8, "all": 10_000}
"""How many combinations of a layer's layouts the joint search keeps.

No effort keeps fewer than four. Neighbours are asked for the layouts that are kept, so that with
fewer other choices would be probed, and the bound be of these.
"""
ABOVE_BEST = "highest bound above the best latency"
SPREAD = "highest bound above the lowest, kept layouts " + ", ".join(WIDTHS)
GAP = "best latency above the lowest bound"


WIDER = "candidates in the tables, all layouts kept over 4 kept"


def searched(network: Network, url: str, width: str) -> tuple[float, float, int]:
    """Search with so many kept layouts.

    Returns the bound and the best latency in µs, and the number of candidates in the tables.
    """
    effort = replace(find_effort(QUICK), kept_layouts=WIDTHS[width])
    settings = Settings(device="mock", effort=effort)
    name = f"kept {width}"
    with create_study(network, "n150", storage=url, name=name, settings=settings) as study:
        best = study.optimize()
        assert best is not None
        assert best.latency_us is not None
        assert study.bound_us is not None
        kept = sum(map(len, study.prepare().tables.values()))
        print(f"{name}: {study.bound_us:.3f} us, {best.latency_us:.3f} us, {kept} candidates")  # noqa: T201 - the log
        return study.bound_us, best.latency_us, kept


def measure() -> Figures:
    loaded = load_network_file(str(STUDIES / "resnet18.py"), None)
    network = capture(loaded.module, loaded.example_inputs, loaded.name)
    with workplace() as directory:
        found = [searched(network, database(directory), width) for width in WIDTHS]
    bounds, latencies, kept = zip(*found, strict=True)
    return {
        SPREAD: percent_above(max(bounds), min(bounds)),
        ABOVE_BEST: percent_above(max(bounds), min(latencies)),
        WIDER: kept[-1] / kept[0],
        GAP: percent_above(min(latencies), min(bounds)),
    }


PROMISES = (
    Promise(
        "bound",
        "No schedule of the probed choices takes less than the lower bound: on ResNet-18, effort "
        "quick, it is the same however few candidates the search keeps, and below every trial.",
        (
            Limit(SPREAD, Kind.ESTIMATED, "%", most=0.01),
            # Else the first of them would say nothing.
            Limit(WIDER, Kind.COUNTED, least=1.05),
            Limit(ABOVE_BEST, Kind.ESTIMATED, "%", most=EQUAL_PERCENT),
            Limit(GAP, Kind.ESTIMATED, "%", most=1),
        ),
        measure,
        time_limit_s=420,
        boards=("n150",),
    ),
)
