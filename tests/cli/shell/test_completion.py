from collections.abc import Callable
from pathlib import Path

import pytest

from autosched.boards import BOARDS, find_board
from autosched.cli.shell.completion import WORDS
from autosched.device.machine import DEVICE_KINDS, EMULATOR, SIMULATOR
from autosched.export.saving import FORMATS
from autosched.network.ends import ORDERS
from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import DataType
from autosched.search.samplers.proposals import SAMPLERS
from autosched.space.efforts import EFFORTS
from tests.cli.conftest import Invoke, Studied, in_process_of_its_own

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """What bash is told for a line whose last word is being typed; nothing else is said."""

    def completed(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setenv("_AUTOSCHED_COMPLETE", "complete_bash")
        done = invoke()
        assert (done.code, done.err) == (0, "")
        return done.out.split()

    return completed


def test_words_are_those_that_are_taken() -> None:
    assert set(WORDS["efforts"]) <= set(EFFORTS)
    assert set(WORDS["samplers"]) == set(SAMPLERS)
    assert WORDS["devices"] == DEVICE_KINDS
    assert WORDS["executing"] == (*WORDS["devices"], SIMULATOR)
    assert WORDS["checking"] == (*WORDS["executing"], EMULATOR)
    assert set(WORDS["weights"]) < set(DataType)
    assert WORDS["fidelities"] == tuple(Fidelity)
    assert WORDS["orders"] == tuple(ORDERS)
    assert WORDS["exports"] == tuple(FORMATS)
    assert set(WORDS["archs"]) == {find_board(name).arch for name in BOARDS}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("autosched run net.py --sampler ", ["joint", "mutation", "tpe", "nsga2", "random"]),
        ("autosched run net.py --effort q", ["quick"]),
        ("autosched run net.py --board p1", [name for name in BOARDS if name.startswith("p1")]),
        ("autosched check a.py --device s", ["silicon", "simulator"]),
        ("autosched export a --format t", ["ttcnn", "tt-mlir"]),
        ("autosched run net.py --fidelity HiFi", ["HiFi2", "HiFi3", "HiFi4"]),
        ("autosched --log-file ", []),
    ],
)
def test_words_and_boards(complete: Complete, line: str, words: list[str]) -> None:
    assert complete(line) == words


def test_studies_of_the_database_that_is_meant(
    complete: Complete, studied: Studied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTOSCHED_STORAGE", raising=False)
    assert complete(f"autosched show --storage {studied.url} ") == ["tiny-n150"]
    assert complete(f"autosched diff --storage {studied.url} a ti") == ["tiny-n150"]
    assert complete(f"autosched show --storage {studied.url} x") == []
    (tmp_path / "autosched.toml").write_text(f'storage = "{studied.url}"\n')
    assert complete("autosched explain t") == ["tiny-n150"]
    monkeypatch.setenv("AUTOSCHED_STORAGE", f"sqlite:///{tmp_path}/none.sqlite3")
    assert complete("autosched explain t") == []
    assert not (tmp_path / "none.sqlite3").exists()


@pytest.mark.parametrize("url", ["nothing", "mysql://h/d", "postgresql://h/d", "sqlite:///a.toml"])
def test_what_is_no_database_is_silent(complete: Complete, tmp_path: Path, url: str) -> None:
    (tmp_path / "a.toml").write_text("this is no database" * 100)
    assert complete(f"autosched show --storage {url} ") == []


def test_files_of_networks(complete: Complete, tmp_path: Path) -> None:
    for name in ("studies/baselines/by_hand.py", "studies/a.txt", "studies/__pycache__/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "studies" / "net.py").touch()
    assert complete("autosched run s") == ["studies/baselines/", "studies/net.py"]
    assert complete("autosched run studies/b") == ["studies/baselines/by_hand.py"]
    assert complete("autosched check a.json --net studies/n") == ["studies/net.py"]
    assert complete(f"autosched run {tmp_path}/studies/n") == [f"{tmp_path}/studies/net.py"]
    assert complete("autosched run gone/") == []


def test_it_loads_nothing_heavy(studied: Studied, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"autosched show --storage {studied.url} "
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", "4")
    monkeypatch.setenv("_AUTOSCHED_COMPLETE", "complete_bash")
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    done = in_process_of_its_own()
    assert done.out.split() == ["tiny-n150"]
    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert "sqlite3" in loaded
    assert not loaded & {"torch", "ttnn", "optuna", "numpy", "scipy", "sqlalchemy.orm"}
