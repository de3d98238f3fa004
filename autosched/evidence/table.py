"""The table of executed kinds: what stands for a candidate that nobody has executed itself.

It is a file made by ``autosched simulate --write`` and never edited. A kind is a list of words
(:mod:`autosched.evidence.kinds`). Faults show where two or three of them meet, seldom
more (Kuhn, Wallace and Gallo, "Software fault interactions and implications for software testing",
IEEE Transactions on Software Engineering 30, 2004): a candidate counts as executed where its
operator was executed right with each pair of its other words, in some case or other. A function of
single values is the same code wherever it runs, and needs one case with the operator.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import combinations
from pathlib import Path

from autosched.errors import StoreError
from autosched.evidence.kinds import FUNCTION
from autosched.files import replace_file

RIGHT = 0.99
"""The concordance from which on a case counts as right."""

Meeting = tuple[str, str, str]
"""An operator with two words of a kind, in order; "" where there is no second."""


@dataclass(frozen=True)
class Case:
    """What was executed of one kind: how often, its lowest concordance, and of which network.

    The concordance is -1 where something did not run to its end.
    """

    kind: str
    arch: str
    executed: int
    concordance: float
    source: str

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

    def executed_kinds(self, arch: str) -> "ExecutedKinds":
        """Return the kinds that the cases of an architecture stand for."""
        mine = [case for case in self.cases.values() if case.arch == arch]
        return ExecutedKinds(
            frozenset(meeting for case in mine if case.is_right for meeting in meetings(case.kind)),
            frozenset(case.kind for case in mine if not case.is_right),
        )

    def count(self, arch: str) -> tuple[int, int]:
        """Return how many kinds were executed on an architecture, and how many of them wrong."""
        mine = [case for case in self.cases.values() if case.arch == arch]
        return len(mine), sum(not case.is_right for case in mine)


@dataclass(frozen=True)
class ExecutedKinds:
    """The kinds that right cases stand for: those all of whose words have met in such.

    A kind that has a wrong case itself is none of them.
    """

    met: frozenset[Meeting]
    wrong: frozenset[str] = frozenset()

    def __contains__(self, kind: str) -> bool:
        """Return whether a kind counts as executed."""
        return kind not in self.wrong and all(found in self.met for found in meetings(kind))


def meetings(kind: str) -> Iterator[Meeting]:
    """Yield what has to be executed right for a kind: its operator, and what it meets."""
    operator, *words = kind.split(", ")
    functions = [word for word in words if word.startswith(FUNCTION)]
    others = sorted(word for word in words if not word.startswith(FUNCTION))
    for word in functions:
        yield operator, word, ""
    for first, second in combinations([*others, "", ""][: max(2, len(others))], 2):
        yield operator, first, second


SHIPPED_TABLE = Path(__file__).with_name("executed_kinds.json")
"""The table that comes with the project."""


@cache
def shipped_kinds(arch: str, ttnn_version: str) -> ExecutedKinds:
    """Return the kinds of candidates that were executed with a ttnn, none with one of another."""
    evidence = shipped_evidence(ttnn_version)
    return ExecutedKinds(frozenset()) if evidence is None else evidence.executed_kinds(arch)


def shipped_evidence(ttnn_version: str) -> Evidence | None:
    """Return the shipped table, None if it is of another ttnn."""
    evidence = read_evidence(SHIPPED_TABLE)
    return evidence if evidence is not None and evidence.ttnn_version == ttnn_version else None


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
    try:
        replace_file(path, text)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None
