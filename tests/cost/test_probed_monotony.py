"""What physics forbids, over configurations that ttnn itself decided on the mock device."""

import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from autosched.cost.model import CostModel
from autosched.schedule.outcomes import DeviceOp
from tests.cost.conftest import ROOT

Pair = tuple[str, tuple[DeviceOp, ...], tuple[DeviceOp, ...]]
MODELS = [CostModel.load(arch) for arch in ("wormhole_b0", "blackhole")]
RULES = {
    "fidelity",
    "small block",
    "double buffer",
    "fewer cores",
    "more bytes",
    "weights",
    "reshard",
}
LAUNCH_NS = 3_000
"""Fewer cores save so much in launch and multicast at most."""


def _probe(path: Path, count: int, seed: int) -> tuple[int, list[Pair]]:
    command = [sys.executable, "-m", "tests.cost.mock_probes", str(path), str(count), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: tuple[int, list[Pair]] = pickle.loads(path.read_bytes())  # noqa: S301
    return found


def _violations(pairs: list[Pair]) -> list[str]:
    return [
        f"{rule} on {model.coefficients.arch}: {slow:.0f} against {fast:.0f} ns for {slower[-1]}"
        for rule, slower, faster in pairs
        for model in MODELS
        for slow, fast in [(_total(model, slower), _total(model, faster))]
        if not _holds(rule, slow, fast)
    ]


def _holds(rule: str, slow: float, fast: float) -> bool:
    if rule == "reshard":
        return slow > 300
    slack = LAUNCH_NS if rule == "fewer cores" else 1e-9 * fast
    return slow >= fast - slack


def _total(model: CostModel, ops: tuple[DeviceOp, ...]) -> float:
    return sum(map(model.time_ns, ops))


def test_a_few_dozen_probed_configurations(tmp_path: Path) -> None:
    ran, pairs = _probe(tmp_path / "probes.pkl", count=4, seed=2)
    assert ran > 36
    assert len({rule for rule, _, _ in pairs}) >= 5
    assert not _violations(pairs)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [11, 12])
def test_thousands_of_probed_configurations(tmp_path: Path, seed: int) -> None:
    ran, pairs = _probe(tmp_path / "probes.pkl", count=150, seed=seed)
    assert ran > 1500
    rules = Counter(rule for rule, _, _ in pairs)
    assert rules.keys() == RULES
    assert min(rules.values()) > 20
    assert not _violations(pairs)


def test_the_rules_can_fail() -> None:
    op = DeviceOp("MoveDeviceOperation", "", (), (), cores=1)
    assert not _holds("fidelity", 1.0, 2.0)
    assert not _holds("reshard", 0.0, 0.0)
    assert _violations([("fidelity", (op,), (op, op))])
