"""The table of executed kinds: what stands for a candidate that nobody has executed itself.

It is a file made by ``autosched simulate --write`` and never edited. A kind is a list of words
(:mod:`autosched.evidence.kinds`). Faults show where two or three of them meet, seldom
more (Kuhn, Wallace and Gallo, "Software fault interactions and implications for software testing",
IEEE Transactions on Software Engineering 30, 2004): a candidate counts as executed where each pair
of its words was executed, in some case, right.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path

from autosched.errors import StoreError

RIGHT = 0.99
"""The concordance from which on a case counts as right."""

_Pair = frozenset[str]


@dataclass(frozen=True)
class Case:
    """What was executed of one kind: how often, its lowest concordance, and a seed that has it.

    The concordance is -1 where something did not run to its end.
    """

    kind: str
    arch: str
    executed: int
    concordance: float
    seed: int

    @property
    def is_right(self) -> bool:
        """Whether every case of the kind was right."""
        return self.concordance >= RIGHT


@dataclass(frozen=True)
class Evidence:
    """Cases by architecture and kind, all of one ttnn version."""

    ttnn_version: str
    cases: Mapping[tuple[str, str], Case] = field(default_factory=dict)

    def with_case(self, case: Case) -> "Evidence":
        """Return the table with one more case of a kind; the worst of a kind stays."""
        known = self.cases.get((case.arch, case.kind))
        if known is not None:
            worse = min(known, case, key=lambda item: item.concordance)
            case = replace(worse, executed=known.executed + case.executed)
        return replace(self, cases={**self.cases, (case.arch, case.kind): case})

    def pairs(self, arch: str) -> frozenset[_Pair]:
        """Return the pairs of words that were executed right on an architecture."""
        right = (case for case in self.cases.values() if case.arch == arch and case.is_right)
        return frozenset(pair for case in right for pair in pairs_of(case.kind))

    def count(self, arch: str) -> tuple[int, int]:
        """Return how many kinds were executed on an architecture, and how many of them wrong."""
        mine = [case for case in self.cases.values() if case.arch == arch]
        return len(mine), sum(not case.is_right for case in mine)


def pairs_of(kind: str) -> Iterable[_Pair]:
    """Return all pairs of a kind's words, the first of which names the operator."""
    return map(frozenset, combinations(kind.split(", "), 2))


def is_executed(kind: str, pairs: frozenset[_Pair]) -> bool:
    """Return whether each pair of a kind's words is among ``pairs``."""
    return all(pair in pairs for pair in pairs_of(kind))


def read_evidence(path: Path) -> Evidence | None:
    """Return a table that :func:`write_evidence` wrote, None where there is none yet.

    Raises:
        StoreError: if the file is damaged.
    """
    if not path.exists():
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read as a table of executed kinds: {error}") from None
    return parse_evidence(text, str(path))


def parse_evidence(text: str, place: str) -> Evidence:
    """Read a table.

    Raises:
        StoreError: naming ``place``, if it is damaged.
    """
    try:
        plain = json.loads(text)
        cases = [Case(**entry) for entry in plain["cases"]]
        version = str(plain["ttnn_version"])
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{place} is no table of executed kinds: {error}; make it again with "
            "autosched simulate --write"
        ) from None
    return Evidence(version, {(case.arch, case.kind): case for case in cases})


def write_evidence(evidence: Evidence, path: Path) -> None:
    """Write a table, a case a line; the same cases always as the same bytes.

    Raises:
        StoreError: if the file cannot be written; it is then as it was.
    """
    cases = (evidence.cases[key] for key in sorted(evidence.cases))
    lines = ",\n".join(json.dumps(asdict(case)) for case in cases)
    version = json.dumps(evidence.ttnn_version)
    text = f'{{"ttnn_version": {version}, "cases": [\n{lines}\n]}}\n'
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None
