import csv
import subprocess
import sys
from pathlib import Path

import pytest

from autosched.boards import find_board
from autosched.cost.calibration.prediction import predict_profile
from autosched.cost.model import CostModel
from autosched.cost.profiles.perf_csv import write_ops, write_perf_csv
from autosched.errors import ProfileError
from autosched.schedule.outcomes import DeviceOp, TimeKind
from tests.cost.records import Captures

N150 = find_board("n150")


@pytest.fixture
def report(captures: Captures, tmp_path: Path) -> Path:
    model = CostModel.load("wormhole_b0")
    ops = [
        op
        for name in ("height", "block", "width", "pointwise", "add", "pool")
        for op in captures[name]
    ]
    return write_perf_csv(model.estimate(ops), tmp_path / "est.csv", N150, model.version)


def test_tt_perf_report_opens_it(report: Path) -> None:
    tool = Path(sys.executable).with_name("tt-perf-report")
    done = subprocess.run(
        [str(tool), str(report), "--no-color"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Conv2dDeviceOperation" in done.stdout
    assert "w=(3,3) s=(1,1)" in done.stdout


def test_every_row_is_marked_as_an_estimate(report: Path) -> None:
    with report.open(newline="") as file:
        rows = list(csv.DictReader(file))
    version = CostModel.load("wormhole_b0").version
    assert rows
    assert all(row["ATTRIBUTES"].startswith(f"{{'estimated': '{version}'") for row in rows)


def test_read_back_it_is_predicted_as_it_was_estimated(report: Path) -> None:
    found = predict_profile(report)
    for row in found.rows:
        assert row.predicted_ns == pytest.approx(row.measured_ns, rel=0.02), row.op


def test_an_op_without_a_time_is_refused(captures: Captures, tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="has no time"):
        write_perf_csv(captures["add"], tmp_path / "est.csv", N150)


@pytest.mark.parametrize(
    ("board", "cores"),
    [
        ("n150", "64"),
        ("n300", "64"),
        ("n300-worker", "56"),
        ("p100a", "110"),
        ("p150", "110"),
        ("p150-140", "130"),
    ],
)
def test_every_board_has_its_own_number_of_cores(board: str, cores: str, tmp_path: Path) -> None:
    op = DeviceOp("MatmulDeviceOperation", "", (), (), time_ns=1000.0)
    path = write_perf_csv([op], tmp_path / "est.csv", find_board(board))
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["AVAILABLE WORKER CORE COUNT"] == cores
    assert row["DEVICE ARCH"] == find_board(board).arch


def test_measured_times_are_left_to_the_profiler(tmp_path: Path) -> None:
    path = tmp_path / "ops.csv"
    op = DeviceOp("MatmulDeviceOperation", "", (), (), time_ns=1000.0)
    with pytest.raises(ProfileError, match="the times were measured"):
        write_ops([op], TimeKind.MEASURED, N150, "", path)
    assert not path.exists()
    assert write_ops([op], TimeKind.ESTIMATED, N150, "model", path) == path
