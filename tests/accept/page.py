"""The results as a page, with what they depend on beside the code."""

import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version

from tests.accept.frame import ROOT
from tests.accept.promise import Result, Verdict

_COLUMNS = ("promise", "figure", "limit", "today", "kind", "verdict")


@dataclass(frozen=True)
class Circumstances:
    """What the figures depend on beside the code."""

    commit: str
    ttnn: str
    python: str
    cores: int
    processor: str
    day: date

    @classmethod
    def here(cls) -> "Circumstances":
        """Those of this machine now."""
        return cls(
            commit=_commit(),
            ttnn=version("ttnn"),
            python=platform.python_version(),
            cores=len(os.sched_getaffinity(0)),
            processor=_processor(),
            day=date.today(),
        )

    def text(self, boards: Sequence[str]) -> str:
        """All of it in a line."""
        return (
            f"commit {self.commit}; ttnn {self.ttnn}; boards {', '.join(boards) or 'none'} (mock); "
            f"Python {self.python}; {self.cores} cores ({self.processor}); {self.day.isoformat()}"
        )


def _commit() -> str:
    command = ["git", "describe", "--always", "--abbrev=10", "--dirty=, with changes"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.machine()


def tally(results: Sequence[Result]) -> str:
    """How many hold, do not, and are not measured."""
    counts = {item: sum(result.verdict is item for result in results) for item in Verdict}
    told = [(counts[Verdict.HOLDS], "hold"), (counts[Verdict.FAILS], "do not hold")]
    told += [(counts[Verdict.NOT_MEASURED], "are not measured")]
    return f"Of {len(results)} promises, " + ", ".join(f"{n} {word}" for n, word in told if n)


def markdown(results: Sequence[Result], here: Circumstances) -> str:
    """The page: circumstances, a row a figure, then each promise in its own words."""
    boards = sorted({board for result in results for board in result.promise.boards})
    head = [
        "# Promises",
        "",
        "Made by `make accept`; made again, never edited. A promise is loosened only in a commit "
        "that says why. Times depend on the machine, and on what else runs there.",
        "",
        f"Made with: {here.text(boards)}.",
        "",
        f"{tally(results)}.",
        "",
        _line(_COLUMNS),
        _line(["---"] * len(_COLUMNS)),
    ]
    tail = ["", "## What is promised", ""]
    return "\n".join([*head, *_rows(results), *tail, *_promises(results)]) + "\n"


def _rows(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        for row in result.rows:
            verdict = row.verdict.value
            if row.verdict is Verdict.FAILS:
                verdict = f"**{verdict}**"
            limit = row.limit
            cells = (result.promise.name, limit.what, limit.text, row.today, limit.kind.value)
            yield _line([*cells, verdict])


def _promises(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        promise = result.promise
        yield f"- `{promise.name}`: {promise.says} Taken in {result.seconds:.0f} s."
        if result.broken:
            yield f"  It broke: {result.broken}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
