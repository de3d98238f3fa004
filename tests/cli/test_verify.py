"""``autosched verify``: with a worker that is told what it computes, and on the simulator."""

import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from autosched.boards import Board
from autosched.cli import exits
from autosched.device.interface import LayerTest, ProbeRequest
from autosched.device.simulator.environment import LIBRARY_VARIABLE, Toolchain
from autosched.device.worker import WorkerDevice
from autosched.network.graph import Network
from autosched.network.operators import Conv2d
from autosched.schedule.outcomes import (
    Agreement,
    ExecutedLayer,
    Execution,
    LayerExecution,
    Rejection,
    RejectionKind,
)
from autosched.schedule.schedule import Schedule
from autosched.store.optuna_mirror import MIRROR_PREFIX
from tests.cli.conftest import Invoke, Studied
from tests.examples.studied import copied

Answer = LayerExecution | Rejection
Says = Callable[[LayerTest], Answer]
ABORT = Rejection(RejectionKind.CRASH, "the worker process died of SIGABRT")
NOT_BUILT = Rejection(RejectionKind.INVALID, "brisc build failed. Log: no such header")


def agreement(concordance: float) -> Agreement:
    return Agreement(0.9989, concordance, 0.02, 1.0)


def right(_test: LayerTest) -> Answer:
    return LayerExecution(agreement(0.9988), varies=False)


def convolutions(answer: Answer) -> Says:
    """All is right but the second convolution."""

    def says(test: LayerTest) -> Answer:
        request = test.request
        is_it = isinstance(request, ProbeRequest) and isinstance(request.op, Conv2d)
        return answer if is_it and request.input_shapes[0][1] == 32 else right(test)

    return says


class ToldWorker:
    """Executes nothing, and says what it is told."""

    says: Says = staticmethod(right)
    output: Agreement = agreement(0.9988)
    tests: list[LayerTest]

    hang_limits_s: list[float | None]

    def __init__(self, _board: Board, _kind: str) -> None:
        self.tests = []

    def load(self, network: Network) -> None:
        self.network = network

    def execute_layer(self, test: LayerTest) -> Answer:
        return type(self).says(test)

    def execute(
        self, schedule: Schedule, _inputs: Sequence[Any], report: Callable[[ExecutedLayer], None]
    ) -> Execution:
        layers = tuple(
            ExecutedLayer(name, agreement(0.9988), agreement(0.9988)) for name in schedule.layers
        )
        for layer in layers:
            report(layer)
        return Execution({"output": type(self).output}, layers, {})

    def close(self) -> None:
        pass


def toolchain() -> Toolchain:
    return Toolchain(Path(), Path(), "of nobody")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> type[ToldWorker]:
    """Stands for the simulator, and is told what to say by its attribute ``says``."""

    class Told(ToldWorker):
        pass

    Told.hang_limits_s = []

    def made(board: Board, kind: str, deadline_s: float | None = None) -> Any:
        if kind == "mock":
            return WorkerDevice(board, kind)
        Told.hang_limits_s.append(deadline_s)
        return Told(board, kind)

    for name in ("verify_run", "reproduce_run"):
        monkeypatch.setattr(f"autosched.cli.steps.{name}.WorkerDevice", made)
    monkeypatch.setattr("autosched.cli.steps.verify_run.check_can_execute", lambda *_: None)
    monkeypatch.setattr("autosched.cli.steps.verify_run.installed_toolchain", toolchain)
    return Told


@pytest.fixture
def url(studied: Studied, tmp_path: Path) -> str:
    return copied(studied.url, tmp_path / "copy.sqlite3")


def verify(invoke: Invoke, url: str, *more: str) -> Any:
    return invoke("verify", "tiny-n150", "--device", "simulator", "--storage", url, *more)


def test_what_is_right_is_stored_and_said_in_the_export(
    worker: type[ToldWorker], url: str, invoke: Invoke, tmp_path: Path
) -> None:
    first = verify(invoke, url, "--json")
    assert first.code == 0, first.err
    assert {row["verdict"] for row in first.json["verdicts"]} == {"right"}
    assert not any(row["is_stored"] for row in first.json["verdicts"])
    assert first.json["whole"]["verdict"] == "right"
    assert "latency" not in first.out
    worker.says = convolutions(ABORT)
    again = verify(invoke, url, "--table", "verified.md")
    assert again.code == 0
    assert "stored" in again.out
    for name in ("tiny.py", "tiny.json"):
        invoke("export", "tiny-n150", "-o", name, "--storage", url)
    assert "\nverified:   simulator, PCC 0.9989\n" in (tmp_path / "tiny.py").read_text()
    assert '"executed_on": "simulator"' in (tmp_path / "tiny.json").read_text()
    page = (tmp_path / "verified.md").read_text()
    assert "| right | 0.9989 |" in page


def test_rounding_that_adds_up_is_no_fault(
    worker: type[ToldWorker], url: str, invoke: Invoke
) -> None:
    worker.output = Agreement(0.95, 0.95, 0.3, 1.0)
    done = verify(invoke, url, "--json")
    assert done.code == 0, done.err
    assert done.json["whole"]["verdict"] == "imprecise"
    assert not done.json["whole"]["is_right"]
    assert "each layer is right alone, but rounding adds up" in done.err
    exported = invoke("export", "tiny-n150", "-o", "tiny.py", "--storage", url)
    assert "Its kernels: simulator, IMPRECISE, PCC 0.9500" in exported.out
    assert "autosched check tiny.py" in exported.out


def test_what_is_wrong_is_left_out_of_the_next_search(
    worker: type[ToldWorker], url: str, invoke: Invoke
) -> None:
    worker.says = convolutions(LayerExecution(agreement(0.41), varies=False))
    done = verify(invoke, url)
    assert done.code == 1, done.err
    assert "wrong" in done.out
    exported = invoke("export", "tiny-n150", "--storage", url)
    assert "Its kernels: simulator, WRONG" in exported.out
    assert "autosched resume tiny-n150" in exported.out
    assert "1 wrong" in done.out
    before = invoke("show", "tiny-n150", "--storage", url, "--json").json["best"]
    search = invoke("resume", "tiny-n150", "--trials", "2", "--storage", url, "--json")
    assert search.code == 0, search.err
    assert "1 candidate left out: executed wrong" in search.err
    assert search.json["left_out"] == {"wrong": 1}
    assert search.json["rejected_trials"]["accuracy"] >= 1
    assert search.json["trial"] != before["trial"]
    assert search.json["bound_us"] >= before["latency_us"] * (1 - 1e-9)
    mirrored = optuna.load_study(study_name=f"{MIRROR_PREFIX}tiny-n150", storage=url).trials
    failed = [trial for trial in mirrored if trial.state is TrialState.FAIL]
    assert len(failed) == sum(search.json["rejected_trials"].values())


def test_what_hung_is_executed_again_with_more_time(
    worker: type[ToldWorker], url: str, invoke: Invoke
) -> None:
    hung = Rejection(RejectionKind.HANG, "conv1", "no answer within 900 s")
    worker.says = convolutions(hung)
    assert verify(invoke, url).code == 1
    worker.says = staticmethod(right)
    assert verify(invoke, url).code == 1
    done = verify(invoke, url, "--again", "--hang-limit", "1h", "--json")
    assert done.code == 0, done.err
    assert {row["verdict"] for row in done.json["verdicts"]} == {"right"}
    assert {row["is_stored"] for row in done.json["verdicts"]} == {True, False}
    assert worker.hang_limits_s == [None, None, 3600.0]
    assert verify(invoke, url).code == 0
    refused = verify(invoke, url, "--hang-limit", "long")
    assert refused.code == 2
    assert "--hang-limit 'long' is no duration" in refused.err


@pytest.mark.parametrize(
    ("answer", "verdict", "code"), [(ABORT, "abort", 1), (NOT_BUILT, "does not compile", 0)]
)
def test_what_does_not_run_spares_the_whole(
    worker: type[ToldWorker], url: str, invoke: Invoke, answer: Rejection, verdict: str, code: int
) -> None:
    worker.says = convolutions(answer)
    done = verify(invoke, url, "--json")
    assert done.code == code, done.err
    assert verdict in [row["verdict"] for row in done.json["verdicts"]]
    assert done.json["whole"] is None
    assert "The whole schedule is not executed" in done.err
    assert answer.message in done.err
    search = invoke("resume", "tiny-n150", "--trials", "1", "--storage", url, "--json")
    assert ("left out" in search.err) is bool(code)


def test_ctrl_c_keeps_every_verdict(
    worker: type[ToldWorker], url: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def interrupted(test: LayerTest) -> Answer:
        nonlocal asked
        asked += 1
        if asked == 3:
            monkeypatch.setattr(exits, "_seen", [signal.SIGINT])
            raise exits.Interrupted
        return right(test)

    worker.says = interrupted
    done = verify(invoke, url)
    assert done.code == 130
    assert "every verdict is stored" in done.out
    assert "autosched verify tiny-n150" in done.out
    monkeypatch.setattr(exits, "_seen", [])
    worker.says = right
    rows = verify(invoke, url, "--json").json["verdicts"]
    assert sum(row["is_stored"] for row in rows) == 2


def test_candidates_are_executed_too(worker: type[ToldWorker], url: str, invoke: Invoke) -> None:
    best = verify(invoke, url, "--json").json["verdicts"]
    more = verify(invoke, url, "--candidates", "3", "--json").json["verdicts"]
    assert worker.says is right
    assert len(more) > len(best)
    assert sum(row["is_stored"] for row in more) == len(best)


def test_a_script_is_written_for_what_is_wrong(
    worker: type[ToldWorker], url: str, invoke: Invoke, tmp_path: Path
) -> None:
    worker.says = convolutions(LayerExecution(agreement(0.41), varies=False))
    done = verify(invoke, url, "--reproduce", "2", "-o", "wrong.py")
    assert done.code == 0, done.err
    source = (tmp_path / "wrong.py").read_text()
    assert "Seen: wrong, concordance 0.4100, PCC 0.9989" in source
    assert "ttnn.conv2d(" in source
    assert "autosched" not in source


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--reproduce", "2"], "name its file with -o"),
        (["--reproduce", "2", "-o", "gone/wrong.py"], "a directory that is there"),
        (["--reproduce", "nothing", "-o", "wrong.py"], "no layer or reshard 'nothing'"),
        (["--device", "mock"], "the mock device executes no kernel"),
    ],
)
@pytest.mark.usefixtures("worker")
def test_a_mistake_is_one_message(url: str, invoke: Invoke, more: list[str], words: str) -> None:
    done = verify(invoke, url, *more)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_other_files_are_not_overwritten(
    worker: type[ToldWorker], url: str, invoke: Invoke, tmp_path: Path
) -> None:
    assert worker.says is right
    (tmp_path / "mine.py").write_text("print('mine')\n")
    done = verify(invoke, url, "--reproduce", "2", "-o", "mine.py")
    assert done.code == 2
    assert (tmp_path / "mine.py").read_text() == "print('mine')\n"


def test_without_a_simulator_it_says_where_one_comes_from(
    url: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(LIBRARY_VARIABLE, raising=False)
    done = verify(invoke, url)
    assert done.code == 2
    assert "ttsim" in done.err
    assert "Traceback" not in done.err


@pytest.mark.simulator
def test_the_simulator_executes_a_study(url: str, invoke: Invoke) -> None:
    if not os.environ.get(LIBRARY_VARIABLE):
        pytest.skip(f"needs ttsim's library in {LIBRARY_VARIABLE}")
    done = verify(invoke, url, "--json")
    assert done.code == 0, done.err
    assert {row["verdict"] for row in done.json["verdicts"]} == {"right"}
    assert done.json["whole"]["is_right"]
    assert not re.search(r"\d µs", done.err)
