"""How long it takes until something can be typed, imported or searched."""

import re
import subprocess
import sys
import time
from pathlib import Path

from tests.accept.promise import Figures, Kind, Limit, Promise

IMPORT, HELP = "import autosched, beyond Python's own start", "autosched --help"
SECONDS, SIZE = "the last set-up, with packages at hand or not", "what it installed"
_RUNS = 5
_TOOK = Path(sys.prefix) / ".took"
_SAID = re.compile(r"([\d.]+)G in .*, (\d+) s")


def best_ms(*arguments: str) -> float:
    times = []
    for _ in range(_RUNS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3


def measure() -> Figures:
    took = _SAID.search(_TOOK.read_text()) if _TOOK.is_file() else None
    missing = "needs a .venv that scripts/set-up.sh has made and timed"
    return {
        IMPORT: best_ms("-c", "import autosched") - best_ms("-c", ""),
        HELP: best_ms("-m", "autosched.cli.main", "--help"),
        SECONDS: missing if took is None else float(took[2]),
        SIZE: missing if took is None else float(took[1]),
    }


PROMISES = (
    Promise(
        "start",
        "A command answers at once, and a set-up is done in minutes.",
        (
            Limit(IMPORT, Kind.MEASURED, "ms", most=150),
            Limit(HELP, Kind.MEASURED, "ms", most=400),
            Limit(SECONDS, Kind.MEASURED, "s", most=600),
            Limit(SIZE, Kind.MEASURED, "GiB", most=7),
        ),
        measure,
        time_limit_s=120,
    ),
)
