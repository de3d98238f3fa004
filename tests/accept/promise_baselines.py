"""The joint search is the fastest of all methods that look at the same probes."""

from tests.accept.commands import STUDIES, autosched, database, workplace
from tests.accept.promise import Figures, Kind, Limit, Promise, percent_above

BASELINES = ("default", "height", "greedy", "mutation")
LIMITS = {"default": 4.0}
"""How many times as long as the joint search's a method's best schedule takes at least."""
GAP = "joint above the lower bound"


def ratio(method: str) -> str:
    return f"{method}'s best latency over joint's"


def measure() -> Figures:
    methods = [word for name in (*BASELINES, "joint") for word in ("--method", name)]
    with workplace() as directory:
        found = autosched(
            "bench", STUDIES / "resnet50.py", *methods, "--effort", "quick", "--device", "mock",
            "--storage", database(directory),
        )  # fmt: skip
    (network,) = found["networks"]
    latency = {item["name"]: item["latency_us"] for item in network["methods"]}
    figures = {ratio(name): latency[name] / latency["joint"] for name in BASELINES}
    return {**figures, GAP: percent_above(latency["joint"], network["bound_us"])}


PROMISES = (
    Promise(
        "baselines",
        "On ResNet-50, batch 1, effort quick, the joint search is at least as fast as ttnn's "
        "default, height sharding, a compiler's greedy rules and mutation, with the same probes.",
        (
            *(
                Limit(ratio(name), Kind.ESTIMATED, least=LIMITS.get(name, 1.0))
                for name in BASELINES
            ),
            Limit(GAP, Kind.ESTIMATED, "%", most=1),
        ),
        measure,
        time_limit_s=400,
        boards=("n150",),
    ),
)
