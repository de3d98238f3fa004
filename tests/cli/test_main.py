import subprocess
from pathlib import Path

import pytest

from autosched.cli import machine as version
from tests.cli.conftest import Invoke, command, in_process_of_its_own


def broken(*_: object) -> None:
    raise ZeroDivisionError("inside")


def test_a_bug_is_one_message_and_a_file(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(version, "_line", broken)
    done = invoke("version")
    assert done.code == 1
    assert done.err.startswith("error: autosched failed where it should not: ZeroDivisionError")
    assert "Traceback" not in done.err
    (report,) = (tmp_path / "cache" / "failures").iterdir()
    assert str(report) in done.err
    assert "in broken" in report.read_text()


def test_a_full_disk_outside_the_database_is_no_bug(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> str:
        raise OSError(28, "No space left on device", "/some/file")

    monkeypatch.setattr(version, "_line", full)
    done = invoke("version")
    assert done.code == 2
    assert done.err.startswith("error: /some/file: No space left on device. Free some space")


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen(
        command("boards"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_wrong_usage_ends_with_2_and_says_where_help_is() -> None:
    done = in_process_of_its_own("run")
    assert done.code == 2
    assert "Missing argument 'NET.PY'" in done.err
    assert "autosched run --help" in done.err
    assert done.out == ""


def test_the_environment_reaches_the_commands(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCHED_STORAGE", f"sqlite:///{tmp_path}/env.sqlite3")
    assert "env.sqlite3" in invoke("list").out
