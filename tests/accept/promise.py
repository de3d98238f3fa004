"""What a promise is: words, limits, and a function that takes the figures of today."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Kind(str, Enum):
    """Where a figure comes from; the value is what a person reads."""

    MEASURED = "measured on this machine"
    ESTIMATED = "estimated"
    COUNTED = "counted"
    PROFILED = "estimates against profiles of cards"
    SIMULATED = "estimates against clocks of simulated kernels"


class Verdict(str, Enum):
    """What came of a promise, from good to bad."""

    HOLDS = "holds"
    NOT_MEASURED = "not measured"
    FAILS = "does not hold"


_WORST_LAST = list(Verdict)


def worst(verdicts: Iterator[Verdict]) -> Verdict:
    """The verdict of all together: one that was not measured is no pass."""
    return max(verdicts, key=_WORST_LAST.index, default=Verdict.NOT_MEASURED)


class NotMeasuredError(Exception):
    """Something is missing here; the message says what is needed."""


@dataclass(frozen=True)
class Limit:
    """What a figure may be at most, at least, or (both alike) has to be."""

    what: str
    kind: Kind
    unit: str = ""
    most: float | None = None
    least: float | None = None

    def __post_init__(self) -> None:
        if self.most is None and self.least is None:
            raise ValueError(f"{self.what}: a promise without a limit promises nothing")

    def holds(self, figure: float) -> bool:
        """Whether a figure is within the limit; what is no number is not."""
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return low <= figure <= high

    @property
    def text(self) -> str:
        """The limit in words."""
        if self.most == self.least:
            return self.said(self.most)
        parts = [("at least", self.least), ("at most", self.most)]
        return ", ".join(f"{word} {self.said(value)}" for word, value in parts if value is not None)

    def said(self, figure: float | None) -> str:
        """A figure with its unit."""
        if figure is None:
            return "-"
        return f"{shortened(figure)} {self.unit}".rstrip()


def shortened(figure: float) -> str:
    """Four digits that matter; whole numbers, and what is above a thousand, without a point."""
    if math.isfinite(figure) and (figure == int(figure) or abs(figure) >= 1000):
        return f"{figure:,.0f}"
    return f"{figure:.4g}"


def percent_above(figure: float, other: float) -> float:
    """By how many percent a figure is above another, below zero if it is below."""
    return round(100 * (figure / other - 1), 6) + 0.0  # no zero below zero


def off_percent(figure: float, wanted: float) -> float:
    """By how many percent a figure is beside the wanted one, either way."""
    return abs(percent_above(figure, wanted))


EQUAL_PERCENT = 1e-4
"""What is equal may differ by so many percent: by the order in which sums were taken."""


Figures = Mapping[str, float | str]
"""By :attr:`Limit.what`: a figure, or in words what was needed to take it."""


@dataclass(frozen=True)
class Promise:
    """One promise; ``says`` is a sentence, ``boards`` are those its figures are of.

    ``measure`` runs in a process of its own and is ended after ``time_limit_s``. It raises
    NotMeasuredError where the whole promise needs what is not here.
    """

    name: str
    says: str
    limits: tuple[Limit, ...]
    measure: Callable[[], Figures]
    time_limit_s: float
    boards: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A limit beside the figure of today; ``figure`` is None where there is none."""

    limit: Limit
    figure: float | None
    verdict: Verdict
    words: str = ""

    @property
    def today(self) -> str:
        """The figure, or why there is none."""
        return self.words if self.figure is None else self.limit.said(self.figure)


@dataclass(frozen=True)
class Result:
    """What came of a promise; ``words`` are those of one that broke or is not measured."""

    promise: Promise
    seconds: float
    figures: Figures = field(default_factory=dict)
    broken: str = ""
    missing: str = ""

    @property
    def rows(self) -> list[Row]:
        """The limits in their order."""
        return [self._row(limit) for limit in self.promise.limits]

    @property
    def verdict(self) -> Verdict:
        """The worst of the rows."""
        return worst(row.verdict for row in self.rows)

    def _row(self, limit: Limit) -> Row:
        if self.broken:
            return Row(limit, None, Verdict.FAILS, "no figure")
        figure = self.missing or self.figures.get(limit.what)
        if isinstance(figure, str):
            return Row(limit, None, Verdict.NOT_MEASURED, figure)
        if figure is None:
            return Row(limit, None, Verdict.FAILS, "no figure")
        return Row(limit, figure, Verdict.HOLDS if limit.holds(figure) else Verdict.FAILS)

    def to_plain(self) -> dict[str, Any]:
        """What ``--json`` shows of it."""
        return {
            "name": self.promise.name,
            "says": self.promise.says,
            "verdict": self.verdict.value,
            "seconds": round(self.seconds, 1),
            "words": self.broken or self.missing,
            "figures": [
                {
                    "what": row.limit.what,
                    "limit": row.limit.text,
                    "figure": row.figure
                    if row.figure is None or math.isfinite(row.figure)
                    else None,
                    "unit": row.limit.unit,
                    "kind": row.limit.kind.value,
                    "verdict": row.verdict.value,
                    "words": row.words,
                }
                for row in self.rows
            ],
        }


def _finite(figure: float | None) -> float | None:
    return figure if figure is None or math.isfinite(figure) else None
