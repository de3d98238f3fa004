import os
import shutil
import subprocess
from pathlib import Path

import pytest

from autosched.cli import machine as version
from tests.cli.conftest import Invoke, Studied, command, in_process_of_its_own


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


def test_a_report_to_send_has_no_password(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = (
        "postgresql://me:hid den1@host/x",
        "postgresql://me@host/x?password=hidden2",
        "postgresql://me:hidden3%40@host/x",
    )
    words = ["autosched", "merge", urls[0], f"--storage={urls[1]}", "caf\udce9"]
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setenv("AUTOSCHED_STORAGE", urls[2])
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "cache"))

    def refused(*_: object) -> None:
        raise ZeroDivisionError(f"{urls} connect(password='hidden3@') hid den1 hidden2")

    monkeypatch.setattr(version, "_line", refused)
    done = invoke("version")
    assert done.code == 1
    (report,) = (tmp_path / "cache" / "failures").iterdir()
    text = report.read_text()
    assert "autosched merge postgresql://me:***@host/x --storage=postgresql://me@host/x?" in text
    assert "in refused" in text
    for shown in (text, done.err):
        assert "hidden" not in shown
        assert "den1" not in shown
    assert report.stat().st_mode & 0o777 == 0o600


def test_a_report_is_never_readable_to_others(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even between its creation and a change of its mode."""
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(version, "_line", broken)
    monkeypatch.setattr("os.chmod", broken)
    before = os.umask(0)
    try:
        assert invoke("version").code == 1
    finally:
        os.umask(before)
    (report,) = (tmp_path / "cache" / "failures").iterdir()
    assert report.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("words", [("list", "{url}"), ("{url}",), ("show", "a", "{url}")])
def test_wrong_usage_repeats_no_password(words: tuple[str, ...], invoke: Invoke) -> None:
    url = "postgresql://me:hidden@host/x"
    done = invoke(*(word.format(url=url) for word in words))
    assert done.code == 2
    assert "postgresql://me:***@host/x" in done.err
    assert "hidden" not in done.err


def test_an_ambiguous_url_says_how_to_write_it(invoke: Invoke) -> None:
    url = "postgresql://me:p@hidden@host/x"
    for words in (("list",), ("merge", url), ("run", "net.py"), ("doctor", "--json")):
        done = invoke(*words, "--storage", url)
        assert done.code == 2
        assert "p%40ss" in done.err + done.out
        assert "hidden" not in done.err + done.out


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
    assert "\nerror: Missing argument 'NET.PY'" in done.err
    assert "autosched run --help" in done.err
    lacking = in_process_of_its_own("run", "net.py", "--sampler")
    assert lacking.err.startswith("error: Option '--sampler' requires an argument")
    assert done.out == ""


def test_the_environment_reaches_the_commands(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCHED_STORAGE", f"sqlite:///{tmp_path}/env.sqlite3")
    assert "env.sqlite3" in invoke("list").out


def test_with_json_a_failure_is_an_object_on_standard_output(invoke: Invoke) -> None:
    for words, said in (
        (("list", "--storage", "mysql://h/d", "--json"), "not supported"),
        (("list", "--bogus", "--json"), "No such option: --bogus"),
        (("run", "gone.py", "--json"), "gone.py does not exist"),
        (("doctor", "--board", "n151", "--json"), "unknown board 'n151'"),
    ):
        done = invoke(*words)
        assert done.code == 2
        assert set(done.json) == {"error", "exit_code"}
        assert done.json["exit_code"] == 2
        assert said in done.json["error"]
        assert said in done.err


def test_with_json_a_failure_repeats_no_password(invoke: Invoke) -> None:
    for words in (("list", "--storage", "mysql://me:hidden@h/d"), ("postgresql://me:hidden@h/d",)):
        done = invoke(*words, "--json")
        assert "me:***@h/d" in done.json["error"]
        assert "hidden" not in done.out + done.err


POSIX = {
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONIOENCODING": "ascii",
}


@pytest.mark.parametrize("locale", [{}, POSIX], ids=["utf-8", "posix"])
def test_an_argument_that_is_not_utf8_is_one_message(
    locale: dict[str, str], tmp_path: Path
) -> None:
    for words in ((b"run", b"caf\xe9.py"), (b"show", b"caf\xe9", b"--json")):
        done = subprocess.run(
            [*command(), *words],
            capture_output=True, timeout=120, check=False,
            cwd=tmp_path, env={**os.environ, **locale},
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith(b"error: caf\\xe9")
        assert b"this name is not UTF-8" in done.stderr
        assert b"Traceback" not in done.stderr


def test_a_directory_that_is_not_utf8_is_one_message(tmp_path: Path) -> None:
    here = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(here)
    words = ("list", "--storage", "sqlite:///a.sqlite3")
    done = subprocess.run(command(*words), capture_output=True, check=False, cwd=here, timeout=60)
    assert done.returncode == 2
    assert b"caf\\xe9/a.sqlite3: this name is not UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_posix_locale_gets_what_it_can_show(studied: Studied) -> None:
    environment = {**os.environ, **POSIX, "COLUMNS": "80"}
    for words in (("show", studied.name, "--layers"), ("list",), ("boards",)):
        storage = () if words == ("boards",) else ("--storage", studied.url)
        done = in_process_of_its_own(*words, *storage, env=environment)
        assert done.code == 0, done.err
        assert done.err == ""
        assert done.out.isascii()
        assert words == ("boards",) or " us" in done.out


@pytest.mark.parametrize("columns", [40, 20])
def test_a_narrow_terminal_gets_words_not_letters(
    columns: int, studied: Studied, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = ("--storage", studied.url)
    for words, shown in (
        (("list", *storage), ["study: tiny-n150", "  kind: estimated"]),
        (("show", "tiny-n150", *storage), ["trial: 0", "  sampler: default"]),
        (("show", "tiny-n150", "--layers", *storage), ["layer: output", "  cores: 32"]),
        (("boards",), ["board: p150", "  DRAM banks: 8"]),
    ):
        monkeypatch.setenv("COLUMNS", str(columns))
        done = invoke(*words)
        assert done.code == 0, done.err
        lines = [line.rstrip() for line in done.out.splitlines()]
        assert set(shown) <= set(lines)
        assert not [line for line in lines if len(line.strip()) == 1]


def test_a_closing_screen_can_be_read_on_a_narrow_terminal(
    studied: Studied, tmp_path: Path
) -> None:
    shutil.copy(studied.url.removeprefix("sqlite:///"), tmp_path / "copy.sqlite3")
    storage = ("--storage", f"sqlite:///{tmp_path}/copy.sqlite3")
    words = ("run", str(studied.net), *storage, "--trials", "0")
    done = in_process_of_its_own(*words, env={**os.environ, "COLUMNS": "30"})
    assert done.code == 0, done.err
    shown = [line.rstrip() for line in done.out.splitlines()]
    place = shown.index("layer: output")
    assert shown[place + 1 : place + 3] == ["  configuration:", "  convert_to_chw, DRAM"]
    assert "\nfrom: (ttnn)\n  to: input\n  layouts: DRAM -> width 32" in done.out
