import csv
from pathlib import Path

import pytest

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.cli.steps import learn_run
from autosched.cost.model import CostModel
from autosched.device.interface import Request
from autosched.device.worker import WorkerDevice
from autosched.schedule.outcomes import AloneTime, Rejection
from tests.cli.conftest import Invoke, Studied
from tests.learning.cards import InventedCard, other_model

PROFILE = str(Path(__file__).parents[1] / "cost" / "data" / "wormhole_segformer_excerpt.csv")


def test_a_kept_calibration_is_what_a_search_estimates_with(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'own.sqlite3'}"
    words = ("--save", "my-card", "--ttnn-version", "0.81.1", "--storage", url)
    done = invoke("calibrate", PROFILE, *words, "--json")
    assert done.code == 0, done.err
    (version,) = done.json["versions"].values()
    assert done.json["saved"] == "my-card"
    done = invoke("run", str(studied.net), "--trials", "1", "--timeout", "1s", "--storage", url)
    assert f"estimated by cost model {version}" in done.out
    assert "calibration 'my-card'" in done.out


def test_a_prediction_is_one_object_of_rows_and_summary(invoke: Invoke) -> None:
    plain = invoke("predict", PROFILE, "--json").json
    assert {"op", "measured_ns", "predicted_ns", "stderr_log", "extrapolates"} <= set(
        plain["rows"][0]
    )
    assert plain["summary"]["total"]["rows"] == len(plain["rows"])
    for row in plain["rows"]:
        assert abs(1e3 * sum(row["split_us"].values()) - row["predicted_ns"]) < 1e-3
    assert abs(sum(plain["summary"]["conv2d"]["provenance"].values()) - 1) < 1e-9


def test_a_prediction_prints_a_line_per_class(invoke: Invoke) -> None:
    done = invoke("predict", PROFILE)
    assert done.code == 0
    assert "conv2d" in done.out
    assert "outside" in done.out
    assert "time goes to" in done.out


def test_a_prediction_knows_the_kernels_of_the_release(invoke: Invoke, tmp_path: Path) -> None:
    with Path(PROFILE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    of_rows = {"INPUT_0_LAYOUT": "ROW_MAJOR", "INPUT_0_MEMORY": "DEV_0_DRAM_INTERLEAVED"}
    name = tmp_path / "rows.csv"
    with name.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, **of_rows} for row in rows)
    older, today = (
        invoke("predict", str(name), *words, "--json").json["summary"]["interleaved_to_sharded"]
        for words in ((), ("--ttnn-version", "0.81.1"))
    )
    assert today["predicted_ns"] < older["predicted_ns"]


class InventedWorker(WorkerDevice):
    """No card: a mock device, with times by coefficients of our own choosing, and noise."""

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        truth = other_model(CostModel.load(board.arch), seed=0, scale=2.0)
        self._card = InventedCard(self, truth)

    def time_alone(self, request: Request, budget: Budget = UNLIMITED) -> AloneTime | Rejection:
        return self._card.time_alone(request, budget)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the command take an invented card for a card of this machine."""
    monkeypatch.setattr(learn_run, "check_card", lambda: None)
    monkeypatch.setattr(learn_run, "open_card", InventedWorker)


def learning(net: str, *more: str) -> tuple[str, ...]:
    return ("calibrate", "--device", "silicon", "--network", net, *more)


def test_without_a_card_there_is_one_message(studied: Studied, invoke: Invoke) -> None:
    done = invoke(*learning(str(studied.net)))
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert "no Tenstorrent card on this machine" in line
    assert "calibrate FILES" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "mock"), "takes no time"),
        (("--device", "simulator"), "knows no time"),
        (("--effort", "most"), "unknown effort"),
        (("--time-limit", "soon"), "--time-limit 'soon' is no duration"),
        (("--weights", "float64"), "float64"),
        (("-o", "nowhere/at/all"), "no such directory"),
        ((PROFILE,), "at once"),
    ],
)
def test_what_cannot_be_learned_is_refused_first(
    words: tuple[str, ...], said: str, studied: Studied, invoke: Invoke
) -> None:
    done = invoke(*learning(str(studied.net), *words))
    assert done.code == 2
    assert said in done.err


def test_a_device_alone_says_not_what_to_learn(invoke: Invoke) -> None:
    done = invoke("calibrate", "--device", "silicon")
    assert done.code == 2
    assert "--network NET.PY" in done.err


@pytest.mark.usefixtures("card")
def test_what_a_card_taught_is_kept_and_used(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    storage = ("--storage", f"sqlite:///{tmp_path / 'own.sqlite3'}")
    asked = learning(str(studied.net), "--board", "n150", "--effort", "quick", *storage)
    done = invoke(*asked, "--measurements", "3", "-o", str(tmp_path / "card.json"), "--json")
    assert done.code == 0, done.err
    found = done.json
    assert (found["taken"], found["known"], found["saved"]) == (3, 0, "card-n150")
    assert found["written"] == [str(tmp_path / "card.json")]
    assert found["schedule_of_before"]["thought"]["kind"] == "estimated"
    assert "times are measured" in done.err
    assert "(measured)" in done.err
    better = str(tmp_path / "better.json")
    done = invoke(*asked, "--measurements", "4", "--save", "mine", "--export", better)
    assert done.code == 0, done.err
    assert f"--start {better}" in done.out
    assert "1 new time, 3 known before" in done.out
    assert "Kept as mine" in done.out
    words = ("--device", "mock", "--start", better, "--trials", "2", "--effort", "quick")
    done = invoke("run", str(studied.net), *words, *storage)
    assert done.code == 0, done.err
    assert "calibration 'mine', learned with ttnn" in done.out
    assert "Trial 1, the schedule given: " in done.out
    assert "rejected" not in done.out.split("the schedule given: ")[1].splitlines()[0]
