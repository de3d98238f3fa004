"""The exact solver proves its optimum on deep networks at once."""

from tests.accept.commands import STUDIES, autosched, database, workplace
from tests.accept.promise import Figures, Kind, Limit, Promise

NETWORKS = ("densenet121", "resnet152")


def gap(network: str) -> str:
    return f"{network}: gap left of the proof"


def seconds(network: str) -> str:
    return f"{network}: a solution"


def measure() -> Figures:
    nets = [STUDIES / f"{name}.py" for name in NETWORKS]
    with workplace() as directory:
        found = autosched(
            "bench", *nets, "--solver", "--effort", "quick", "--device", "mock",
            "--storage", database(directory),
        )  # fmt: skip
    figures: dict[str, float | str] = {}
    for item in found["solver"]:
        print(item)  # noqa: T201 - the log
        figures[gap(item["network"])] = item["gap"] if item["optimal"] else float("inf")
        figures[seconds(item["network"])] = item["seconds"]
    return figures


PROMISES = (
    Promise(
        "solver",
        "The optimum of the probed tables is proven, on networks of more than two hundred layers "
        "as well, effort quick.",
        tuple(
            limit
            for name in NETWORKS
            for limit in (
                Limit(gap(name), Kind.ESTIMATED, most=0, least=0),
                Limit(seconds(name), Kind.MEASURED, "s", most=1),
            )
        ),
        measure,
        time_limit_s=600,
        boards=("n150",),
    ),
)
