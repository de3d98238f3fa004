"""Derives the observations that the shipped coefficients are made from.

Usage: python -m calibration SILICON SIMULATED [OUTPUT]

SILICON is a directory of profiles (CSV), SIMULATED one of simulated sweeps; points are run on
ttnn's mock device. OUTPUT is ``autosched/cost/observations`` by default; then
``autosched calibrate -o autosched/cost/coefficients`` makes the coefficients.
"""

import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from autosched.cost.calibration.observations import (
    SUFFIX,
    Observation,
    Source,
    observations_of,
    read_observations,
    write_observations,
)
from autosched.cost.profiles.profile import read_profile

POINTS = "points.csv"
"""Lies beside the profiles and is none: :mod:`calibration.points` has its figures."""
BOARDS = ("n150", "p150", "p150-140")
ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "autosched" / "cost" / "observations"


def main(silicon: Path, simulated: Path, output: Path = SHIPPED) -> None:
    """Write a file for each source of observations."""
    found: dict[Source, list[Observation]] = defaultdict(list)
    for path in sorted(silicon.glob("*.csv")):
        if path.name != POINTS:
            found[Source.SILICON] += observations_of(read_profile(path))
    for board in BOARDS:
        for item in _run(board, simulated):
            found[item.source].append(item)
    output.mkdir(parents=True, exist_ok=True)
    for source, items in found.items():
        write_observations(items, output / f"{source.value}{SUFFIX}")
        print(f"{output / source.value}{SUFFIX}: {len(items)} observations")  # noqa: T201


def _run(board: str, simulated: Path) -> tuple[Observation, ...]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{board}{SUFFIX}"
        command = [sys.executable, "-m", "calibration.runs", board, str(simulated), str(path)]
        subprocess.run(command, cwd=ROOT, check=True)
        return read_observations(path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
