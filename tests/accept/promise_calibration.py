"""How far the estimates are from profiles of real cards that the fit has not seen."""

import os
from pathlib import Path

from autosched.boards import CLOCK_GHZ
from autosched.cost.calibration.calibration import fit_coefficients
from tests.accept.promise import Figures, Kind, Limit, NotMeasuredError, Promise

SILICON = "AUTOSCHED_SILICON"
"""Environment variable: the directory of the profiles."""
NEEDED = f"needs profiles of cards (*.csv in the directory {SILICON})"
MEDIAN_PERCENT = {"wormhole_b0": 6.0, "blackhole": 8.5}
RANK = 0.98
POINTS = "points.csv"
"""Single figures from elsewhere lie beside the profiles; they are for judging, by hand."""


def median(arch: str) -> str:
    return f"{arch}: median error of convolutions, by held-out layer"


def rank(arch: str) -> str:
    return f"{arch}: rank correlation of convolutions, by held-out layer"


def profiles() -> list[Path]:
    """The profiles there are.

    Raises:
        NotMeasuredError: if nobody says where they are.
    """
    place = os.environ.get(SILICON)
    found = [] if place is None else sorted(Path(place).glob("*.csv"))
    if not found:
        raise NotMeasuredError(NEEDED)
    return [path for path in found if path.name != POINTS]


def measure() -> Figures:
    report = fit_coefficients(profiles())
    figures: dict[str, float | str] = {}
    for score in report.scores:
        if score.family == "conv2d":
            print(score)  # noqa: T201 - the log
            figures[median(score.arch)] = _number(score.median_error, 100)
            figures[rank(score.arch)] = _number(score.spearman)
    return {limit.what: figures.get(limit.what, NEEDED) for limit in LIMITS}


def _number(figure: float | None, times: float = 1) -> float | str:
    return "needs profiles of more layers" if figure is None else times * figure


LIMITS = tuple(
    limit
    for arch in CLOCK_GHZ
    for limit in (
        Limit(median(arch), Kind.PROFILED, "%", most=MEDIAN_PERCENT[arch]),
        Limit(rank(arch), Kind.PROFILED, least=RANK),
    )
)
PROMISES = (
    Promise(
        "calibration",
        "Convolutions of layers that the fit has not seen are estimated closely, and rank as on "
        "the cards.",
        LIMITS,
        measure,
        time_limit_s=300,
    ),
)
