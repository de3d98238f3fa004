import io
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Studied


class Terminal(io.StringIO):
    """Standard input of a person."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def copied(studied: Studied, tmp_path: Path) -> str:
    """The database of the studied network, to be changed at will."""
    path = tmp_path / "copied.sqlite3"
    shutil.copy(studied.url.removeprefix("sqlite:///"), path)
    return f"sqlite:///{path}"


def studies(invoke: Invoke, url: str) -> list[str]:
    return [item["study"] for item in invoke("list", "--storage", url, "--json").json["studies"]]


def test_a_confirmed_study_is_gone(copied: str, invoke: Invoke) -> None:
    plain = invoke("delete", "tiny-n150", "--yes", "--storage", copied, "--json").json
    assert (plain["study"], plain["trials"]) == ("tiny-n150", 3)
    assert studies(invoke, copied) == []


def test_a_script_has_to_confirm(
    copied: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    done = invoke("delete", "tiny-n150", "--storage", copied)
    assert done.code == 2
    assert "study tiny-n150 and its 3 trials" in done.err
    assert "--yes" in done.err
    assert studies(invoke, copied) == ["tiny-n150"]


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, []), ("n", 1, ["tiny-n150"])])
def test_a_person_is_asked(
    copied: str,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    left: list[str],
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    assert invoke("delete", "tiny-n150", "--storage", copied).code == code
    assert studies(invoke, copied) == left


def test_an_unknown_study(copied: str, invoke: Invoke) -> None:
    done = invoke("delete", "tiny-n15", "--yes", "--storage", copied)
    assert done.code == 2
    assert "did you mean 'tiny-n150'?" in done.err
