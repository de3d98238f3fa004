"""The comparison of methods, and what it refuses before anything slow is done."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from autosched.bench.bench import Bench, CountedProgress
from autosched.bench.speed import SolverSpeed
from autosched.cli.steps import bench_run
from autosched.cli.steps.bench_run import BenchRequest
from autosched.cli.steps.inputs import hand_tuned, hand_tuned_path
from autosched.device.machine import ttnn_version
from autosched.errors import SearchError
from autosched.export.loading import load_schedule
from autosched.export.saving import save_schedule
from autosched.export.validation import check_layers, check_provenance
from autosched.network.capture.capture import capture
from autosched.network.capture.network_file import load_network_file
from autosched.network.graph import Layer, Network
from autosched.network.operators import Input as NetworkInput
from autosched.probing.joint_problem import JointProblem
from autosched.report.output import opened_output
from tests.cli.conftest import Invoke, Studied


def test_the_small_network_is_compared(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    done = invoke(
        "bench", str(studied.net), "--method", "default", "--method", "joint", "--trials", "2",
        "--effort", "quick", "--device", "mock", "--storage", f"sqlite:///{tmp_path}/bench.sqlite3",
        "--plot", "bench.html", "--markdown", "bench.md", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    (network,) = done.json["networks"]
    default, joint = network["methods"]
    assert (default["name"], joint["name"]) == ("default", "joint")
    assert network["bound_us"] <= joint["latency_us"] < default["latency_us"]
    assert "tiny on n150, batch 1" in done.err
    assert "`autosched bench" in (tmp_path / "bench.md").read_text()
    assert (tmp_path / "bench.html").stat().st_size > 1000


def test_formats_are_compared(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    done = invoke(
        "bench", str(studied.net), "--min-pcc", "0.99", "--effort", "quick", "--device", "mock",
        "--storage", f"sqlite:///{tmp_path}/bench.sqlite3", "--markdown", "formats.md", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    *alike, searched = done.json["formats"]
    assert [row["floor"] for row in alike] == [None] * 4
    assert searched["pcc"] >= 0.99
    assert "`autosched bench" in (tmp_path / "formats.md").read_text()


def test_mixes_are_drawn(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    done = invoke(
        "bench", str(studied.net), "--mixes", "5", "--device", "mock",
        "--storage", f"sqlite:///{tmp_path}/bench.sqlite3", "--markdown", "mixes.md", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    (mixes,) = done.json["mixes"]
    assert len(mixes["mixes"]) == 5
    assert mixes["kind"] == "emulated"
    assert (tmp_path / "mixes.md").exists()


@pytest.mark.parametrize("option", [("--min-pcc", "0.9"), ("--mixes", "3")])
def test_what_compares_methods_goes_with_neither(
    studied: Studied, invoke: Invoke, option: tuple[str, str]
) -> None:
    done = invoke("bench", str(studied.net), *option, "--device", "mock", "--all-samplers")
    assert done.code == 2
    assert f"{option[0]} compares formats, no methods; leave out --all-samplers" in done.err


def test_the_solver_is_timed(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bench.sqlite3"
    assert invoke("merge", studied.url, "--storage", url).code == 0
    done = invoke(
        "bench", str(studied.net), "--solver", "--effort", "quick", "--device", "mock",
        "--storage", url, "--plot", "growth.html", "--markdown", "growth.md", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    (solver,) = done.json["solver"]
    assert (solver["network"], solver["layers"], solver["optimal"]) == ("tiny", 4, True)
    assert solver["gap"] == 0
    assert 0 < solver["seconds"] < 1
    assert solver["peak_bytes"] > 0
    assert 0 < solver["proposal_ms"] <= solver["longest_proposal_ms"]
    assert "tiny on n150, batch 1" in done.err
    assert "| tiny on n150, batch 1 | 4 |" in (tmp_path / "growth.md").read_text()
    assert (tmp_path / "growth.html").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--method", "magic"), "unknown method 'magic'; it is one of default, height, greedy"),
        (("--method", "tpe", "--sampler-trials", "19"), "tpe draws its first 10 trials at random"),
        (("--all-samplers", "--sampler-trials", "99"), "nsga2 draws its first 50 trials at rand"),
        (("--solver", "--trials", "3", "--speed"), "times the exact solver and compares nothing"),
        (("--board", "n1500"), "unknown board 'n1500'; the boards are n150"),
        (("--effort", "heroic"), "unknown effort 'heroic'; it is one of quick"),
        (("--plot", "bench.png"), "--plot bench.png: name a file that ends in .html"),
        (("--markdown", "no/where.md"), "there is no such directory; create it first"),
    ],
)
def test_wrong_options_are_refused_at_once(
    arguments: tuple[str, ...], words: str, invoke: Invoke
) -> None:
    done = invoke("bench", "net.py", *arguments)
    assert done.code == 2
    assert words in done.err


def test_a_hand_tuned_schedule_lies_beside_the_network_file() -> None:
    network = Network("net", (Layer("x", NetworkInput(), (), (16, 3, 8, 8)),))
    wanted = Path("studies/baselines/net_p150_b16_hand_tuned.py")
    assert hand_tuned_path("studies/net.py", network, "p150") == wanted
    assert hand_tuned_path("studies/net.py:model", network, "p150") == wanted


def test_a_hand_tuned_schedule_of_another_network_is_left_out(
    studied: Studied, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = load_schedule(studied.schedule)
    network = Network("tiny", (Layer("x", NetworkInput(), (), (1, 8, 32, 32)),))
    file = hand_tuned_path(str(tmp_path / "net.py"), network, "n150")
    with opened_output(as_json=False) as output:
        assert hand_tuned(output, str(tmp_path / "net.py"), network, "n150") == (network, None)
        file.parent.mkdir()
        made_for = replace(schedule.provenance, network_signature="0" * 16)
        save_schedule(replace(schedule, provenance=made_for), file)
        assert hand_tuned(output, str(tmp_path / "net.py"), network, "n150") == (network, None)
        assert "was made for another tiny: left out" in capsys.readouterr().out
        made_for = replace(schedule.provenance, network_signature=network.signature)
        own = replace(schedule, provenance=made_for)
        save_schedule(own, file)
        assert hand_tuned(output, str(tmp_path / "net.py"), network, "n150") == (network, own)


def test_a_network_without_a_schedule_is_left_out_of_many(
    studied: Studied, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those before it are written already, and those after it still come."""

    def prepare(bench: Bench, progress: CountedProgress) -> JointProblem:
        if bench.network.batch == 2:
            raise SearchError("layer 0: nothing fits")
        return real(bench, progress)

    real = Bench.prepare
    monkeypatch.setattr(Bench, "prepare", prepare)
    arguments = (
        "bench", str(studied.net), "--method", "default", "--effort", "quick", "--device", "mock",
        "--storage", f"sqlite:///{tmp_path}/bench.sqlite3", "--markdown", "bench.md", "--json",
    )  # fmt: skip
    done = invoke(*arguments, "--batch", "2", "--batch", "1")
    assert done.code == 0, done.err
    assert [network["batch"] for network in done.json["networks"]] == [1]
    (failed,) = done.json["failed"]
    assert (failed["batch"], failed["reason"]) == (2, "layer 0: nothing fits")
    assert "- tiny on n150, batch 2: layer 0: nothing fits" in (tmp_path / "bench.md").read_text()
    alone = invoke(*arguments, "--batch", "2")
    assert alone.code == 2
    assert "nothing fits" in alone.err


def request(**fields: Any) -> BenchRequest:
    plain = BenchRequest(
        nets=("net.py",),
        boards=("n150",),
        batches=(None,),
        device="mock",
        methods=(),
        trials=None,
        seeds=5,
        effort="quick",
        storage=None,
        plot=None,
        markdown=None,
        speed=False,
    )
    return replace(plain, **fields)


def test_what_fails_leaves_no_device_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anybody is told: the screen would still be live, and workers would still run."""
    closed: list[bool] = []

    def benches(*_: object) -> Iterator[Any]:
        screen = SimpleNamespace(begin=lambda *_: None)
        try:
            yield SimpleNamespace(bench=Mock(), screen=screen)
        finally:
            closed.append(True)

    def broken(_: object) -> SolverSpeed:
        raise SearchError("does not fit")

    monkeypatch.setattr(bench_run, "prepared_benches", benches)
    monkeypatch.setattr(bench_run, "measure_solver", broken)
    with opened_output(as_json=False) as output, pytest.raises(SearchError) as caught:
        bench_run.time_solver(output, request(nets=()))
    assert caught.traceback, "which keeps the generator alive"
    assert closed == [True]


def test_optunas_samplers_are_compared_on_demand() -> None:
    plain = ("default", "height", "greedy", "hand-tuned", "mutation", "joint")
    assert request().compared == plain
    assert set(request(all_samplers=True).compared) == {*plain, "random", "tpe", "nsga2"}
    assert request(methods=("joint",), all_samplers=True).compared[-1] == "joint"
    assert "--sampler-trials" not in request().command
    command = request(all_samplers=True).command
    assert "--all-samplers --sampler-trials 200 --seeds 5" in command
    assert "--allow-known-faults" in request(allow_known_faults=True).command
    assert "--method tpe --sampler-trials 200" in request(methods=("tpe",)).command


STUDIES = Path(__file__).parents[2] / "studies"
BY_HAND = sorted((STUDIES / "baselines").glob("*_hand_tuned.py"))


@pytest.mark.parametrize(
    "file", [file for file in BY_HAND if file.stem != "make_hand_tuned"], ids=lambda file: file.stem
)
def test_a_hand_tuned_schedule_is_found_and_of_its_network(file: Path) -> None:
    schedule = load_schedule(file)
    made = schedule.provenance
    study = str(STUDIES / f"{made.network}.py")
    loaded = load_network_file(study, made.batch)
    plain = capture(loaded.module, loaded.example_inputs, loaded.name, check=False)
    with opened_output(as_json=False) as output:
        network, found = hand_tuned(output, study, plain, made.board)
    assert found == schedule
    assert network.packing.images == made.pack_images
    assert hand_tuned_path(study, network, made.board) == file
    check_provenance(schedule, network.signature, made.board, ttnn_version())
    check_layers(schedule, str(file), network)
