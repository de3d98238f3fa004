import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autosched.boards import BOARDS, Board, find_board
from autosched.cost.calibration.prediction import predict_profile
from autosched.cost.model import CostModel
from autosched.cost.profiles.perf_csv import check_ops_target, write_ops, write_perf_csv
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


FIDELITIES = ("LoFi", "HiFi2", "HiFi3", "HiFi4")
VISUALIZER = "TTNN_VISUALIZER_PYTHON"
"""Names a Python that has ttnn-visualizer, whose pins are not ours."""
OPENED = """
import json, logging, sys
from pathlib import Path
logging.disable(logging.CRITICAL)
from ttnn_visualizer.csv_queries import (
    DeviceLogProfilerQueries, OpsPerformanceQueries, OpsPerformanceReportQueries,
)
from ttnn_visualizer.models import Instance
from ttnn_visualizer.utils import is_valid_performance_report_dir

found = []
for folder in sys.argv[1:]:
    instance = Instance(instance_id=folder, performance_path=folder)
    report = OpsPerformanceReportQueries.generate_report(instance)["report"]
    with OpsPerformanceQueries(instance) as ops, DeviceLogProfilerQueries(instance) as log:
        found.append(
            {
                "valid": is_valid_performance_report_dir(Path(folder)),
                "ops": len(ops.get_all_entries(as_dict=True)),
                "zones": len(log.get_all_entries(as_dict=True)),
                "arch": DeviceLogProfilerQueries.read_capture_metadata(instance)["ARCH"],
                "fidelities": [row["math_fidelity"] for row in report],
            }
        )
print("FOUND" + json.dumps(found))
"""


def of_every_fidelity(captures: Captures, board: Board) -> list[DeviceOp]:
    """A convolution at each fidelity, and ops that have none."""
    model = CostModel.load(board.arch)
    ops = [
        replace(op, attributes=op.attributes.replace("LoFi", fidelity))
        for fidelity in FIDELITIES
        for op in captures["height"]
    ]
    return model.estimate([*ops, *captures["add"], *captures["pool"]])


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_tt_perf_report_opens_every_board_and_fidelity(
    board: Board, captures: Captures, tmp_path: Path
) -> None:
    ops = of_every_fidelity(captures, board)
    path = write_perf_csv(ops, tmp_path / "est.csv", board)
    tool = Path(sys.executable).with_name("tt-perf-report")
    done = subprocess.run(
        [str(tool), str(path), "--no-color", "--csv", str(tmp_path / "read.csv")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    with (tmp_path / "read.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(ops)
    shown = " ".join(row["Math Fidelity"] for row in rows)
    assert [fidelity for fidelity in FIDELITIES if fidelity not in shown] == []


def test_a_folder_has_what_ttnn_visualizer_asks_for(captures: Captures, tmp_path: Path) -> None:
    board = find_board("p150")
    path = write_perf_csv(of_every_fidelity(captures, board), f"{tmp_path}/report/", board)
    assert path == tmp_path / "report" / "ops_perf_results.csv"
    first, header = (tmp_path / "report" / "profile_log_device.csv").read_text().splitlines()
    assert first == "ARCH: blackhole, CHIP_FREQ[MHz]: 1350, Max Compute Cores: 110"
    assert {"timer_id", "zone name", "run host ID"} <= set(header.split(", "))
    again = write_perf_csv(of_every_fidelity(captures, board), tmp_path / "report", board)
    assert again == path


def test_ttnn_visualizer_opens_every_board_and_fidelity(captures: Captures, tmp_path: Path) -> None:
    if VISUALIZER not in os.environ:
        pytest.skip(f"{VISUALIZER} names no Python that has ttnn-visualizer")
    folders = {board: tmp_path / name for name, board in BOARDS.items()}
    ops = {board: of_every_fidelity(captures, board) for board in folders}
    for board, folder in folders.items():
        write_perf_csv(ops[board], f"{folder}/", board)
    done = subprocess.run(
        [os.environ[VISUALIZER], "-c", OPENED, *map(str, folders.values())],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.rpartition("FOUND")[2])
    for board, seen in zip(folders, found, strict=True):
        assert (seen["valid"], seen["ops"], seen["zones"]) == (True, len(ops[board]), 0)
        assert seen["arch"] == board.arch
        assert len(seen["fidelities"]) == len(ops[board])
        shown = " ".join(seen["fidelities"])
        assert [fidelity for fidelity in FIDELITIES if fidelity not in shown] == []


def test_a_place_is_checked_before_there_is_something_to_write(tmp_path: Path) -> None:
    for good in (tmp_path / "est.csv", f"{tmp_path}/report/", tmp_path):
        check_ops_target(good)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ProfileError, match="create it first"):
        check_ops_target(tmp_path / "nowhere" / "est.csv")
    with pytest.raises(ProfileError, match="no file can have this name"):
        check_ops_target(tmp_path / ("x" * 300))


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
