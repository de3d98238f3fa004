"""Kernels executed on the simulator: what is right, and what a comparison catches."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.device.conftest import child_options
from tests.once import OncePerRun


def executed_in(place: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.device.executed"],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
        **child_options(place),
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stdout[-2000:] + done.stderr[-2000:]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


@pytest.fixture
def faults(simulated: str, once: OncePerRun) -> dict[str, Any]:
    del simulated
    return once("executed-faults", executed_in)


pytestmark = [pytest.mark.simulator, pytest.mark.timeout(1800)]


def test_a_schedule_that_is_right(faults: dict[str, Any]) -> None:
    assert faults["right"]["concordance"] > 0.99


@pytest.mark.parametrize(
    ("fault", "layer"),
    [
        ("swapped inputs", "sum"),
        ("lost activation", "stem"),
        ("weights of another layout", "stem"),
    ],
)
def test_what_is_wrong_is_named_by_its_layer(
    faults: dict[str, Any], fault: str, layer: str
) -> None:
    assert faults[fault]["layer"] == layer
    assert faults[fault]["concordance"] < 0.9
    if faults[fault]["pcc"] > -1.0:  # what is not finite goes on from layer to layer
        assert faults[fault]["others"] > 0.99


def test_indices_are_judged_by_what_they_are_made_of(faults: dict[str, Any]) -> None:
    pcc, equal = faults["whole numbers"]["output"]
    assert pcc > 0.99
    assert equal is None
    for name in ("argmax", "gt_2"):
        assert faults["whole numbers"][name][0] == pytest.approx(pcc)
        assert 0.9 < faults["whole numbers"][name][1] < 1.0
    assert faults["whole numbers"]["mean_2"][1] is None
