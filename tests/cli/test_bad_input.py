"""Bad input gets one clear message that names the file and the way out, and exit code 2."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from autosched.store.database import open_store
from tests.cli.conftest import TINY, Done, Invoke, Studied

_NOBODY = 65534


def refused(done: Done, *words: str) -> None:
    assert done.code == 2
    assert "error: " in done.err
    assert "Traceback" not in done.err + done.out
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ValueError('boom')\n", ("net.py:1", "ValueError: boom", "Correct it")),
        ("import nothing_like_this\n", ("net.py", "nothing_like_this")),
        ("def (\n", ("net.py:1", "SyntaxError")),
        ("answer = 42\n", ("net.py", "no torch.nn.Module", "Assign your module to `model`")),
        (f"{TINY}network = nn.ReLU()\n", ("several candidates", "net.py:model")),
        (TINY.replace("(1, 8", "(1, 5"), ("net.py", "rejects inputs of shape (1, 5, 32, 32)")),
        (TINY.replace("input_shape", "shape"), ("net.py", "input_shape")),
        (TINY.replace("nn.ReLU()", "nn.RNN(32, 8)"), ("net.py",)),
    ],
    ids=["raises", "import", "syntax", "no-module", "several", "shape", "no-shape", "operator"],
)
def test_network_files(text: str, words: tuple[str, ...], invoke: Invoke, tmp_path: Path) -> None:
    Path("net.py").write_text(text)
    url = f"sqlite:///{tmp_path}/a.sqlite3"
    done = invoke("run", "net.py", "--storage", url, "--json")
    refused(done, *words)
    assert done.json == {"error": done.err.partition("error: ")[2].strip(), "exit_code": 2}


def test_a_missing_network_file(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("run", "gone.py", "--storage", f"sqlite:///{tmp_path}/a.sqlite3")
    refused(done, "gone.py does not exist", "give the path of a network file")
    assert "it is executed" not in done.out


def test_an_unsupported_operator_is_listed_with_its_place(invoke: Invoke, tmp_path: Path) -> None:
    text = TINY.replace("model = ", "import torch\n\n\nclass Bessel(nn.Module):\n"
                        "    def forward(self, x):\n        return torch.special.bessel_j0(x)\n\n\n"
                        "model = ").replace("nn.ReLU()", "Bessel()")  # fmt: skip
    Path("net.py").write_text(text)
    done = invoke("run", "net.py", "--storage", f"sqlite:///{tmp_path}/a.sqlite3")
    refused(done, "special_bessel_j0", "net.py:9", "Replace them")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--board", "n151"), ("unknown board 'n151'", "p150")),
        (("--sampler", "magic"), ("unknown sampler 'magic'", "joint")),
        (("--effort", "some"), ("unknown effort 'some'", "quick")),
        (("--timeout", "soon"), ("--timeout 'soon'", "10m")),
        (("--device", "gpu"), ("unknown device 'gpu'", "mock")),
        (("--weights", "int4"), ("--weights 'int4'", "bfloat8_b")),
        (("--fidelity", "high"), ("--fidelity 'high'", "HiFi2")),
        (("--export", "a.txt"), ("a.txt", ".py or .json")),
        (("--export", "tiny.py"), ("tiny.py", "no exported schedule")),
        (("--storage", "trials.db"), ("'trials.db' is not a database URL", "sqlite:///trials.db")),
        (("--storage", "mysql://h/d"), ("not supported", "postgresql://")),
        (("--storage", "sqlite:////no/where/a.db"), ("/no/where", "Create it")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_options(
    arguments: tuple[str, ...], words: tuple[str, ...], studied: Studied, invoke: Invoke
) -> None:
    Path("tiny.py").write_text(TINY)
    storage = () if "--storage" in arguments else ("--storage", studied.url)
    refused(invoke("run", "tiny.py", *arguments, *storage), *words)


def test_silicon_without_a_card(studied: Studied, invoke: Invoke) -> None:
    if Path("/dev/tenstorrent").exists():
        pytest.skip("this machine has a card")
    done = invoke("run", str(studied.net), "--device", "silicon", "--storage", studied.url)
    refused(done, "no Tenstorrent card", "--device mock")


# Databases.


def made(path: Path, *statements: str) -> str:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    return f"sqlite:///{path}"


def test_a_file_that_is_no_database(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are my notes, and no database at all\n" * 50)
    done = invoke("run", str(studied.net), "--storage", f"sqlite:///{tmp_path}/notes.txt")
    refused(done, "notes.txt is not a SQLite database", "Name another file")


def test_another_programs_database(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    url = made(tmp_path / "places.sqlite3", "CREATE TABLE places (name TEXT)")
    refused(invoke("run", str(studied.net), "--storage", url), "places.sqlite3", "another program")


def test_a_database_of_a_newer_version(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.sqlite3"
    open_store(url).close()
    with closing(sqlite3.connect(tmp_path / "new.sqlite3")) as connection, connection:
        (table,) = connection.execute(
            "SELECT name FROM sqlite_master WHERE name LIKE 'autosched%version%'"
        ).fetchone()
        connection.execute(f"UPDATE {table} SET version_num = '9999'")  # noqa: S608
    refused(invoke("run", str(studied.net), "--storage", url), "new.sqlite3", "newer")


@pytest.mark.parametrize("words", [("run", "NET"), ("resume", "tiny-n150")])
def test_a_locked_database(
    words: tuple[str, str], studied: Studied, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults: dict[str, Any] = open_store.__kwdefaults__
    monkeypatch.setitem(defaults, "lock_timeout_s", 0.2)
    path = studied.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        place = str(studied.net) if words[1] == "NET" else words[1]
        done = invoke(words[0], place, "--storage", studied.url)
        holder.execute("ROLLBACK")
    refused(done, "is locked", "run again")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Give up root's right to write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_database(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "fixed.sqlite3"
    path.write_bytes(Path(studied.url.removeprefix("sqlite:///")).read_bytes())
    for parent in tmp_path.parents:
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    tmp_path.chmod(0o777)
    path.chmod(0o444)
    with unprivileged():
        done = invoke("resume", "tiny-n150", "--storage", f"sqlite:///{path}")
    refused(done, "fixed.sqlite3", "read-only", "permissions")


def test_a_full_disk_keeps_what_is_stored(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "full.sqlite3"
    path.write_bytes(Path(studied.url.removeprefix("sqlite:///")).read_bytes())

    def limit(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # the size it has

    event.listen(Engine, "connect", limit)
    try:
        done = invoke("resume", "tiny-n150", "--trials", "9", "--sampler", "random",
                      "--storage", f"sqlite:///{path}")  # fmt: skip
    finally:
        event.remove(Engine, "connect", limit)
    refused(done, "full.sqlite3", "disk is full", "every finished trial is kept")
    shown = invoke("show", "tiny-n150", "--storage", f"sqlite:///{path}", "--json")
    assert shown.json["trials"] >= 3


# Schedules: more in test_check.


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.py", None, ("no such file", "autosched export")),
        ("other.py", "x = 1\n", ("not a schedule", "Export it again")),
        ("torn.json", '{"provenance": {', ("torn.json",)),
        ("binary.py", "\x00", ("binary.py",)),
    ],
)
def test_files_that_are_no_schedule(
    name: str, content: str | None, words: tuple[str, ...], studied: Studied, invoke: Invoke
) -> None:
    if content is not None:
        Path(name).write_text(content)
    refused(invoke("check", name, "--net", str(studied.net)), name, *words)


def test_a_schedule_of_another_network(studied: Studied, invoke: Invoke) -> None:
    Path("other.py").write_text(TINY.replace("32, 32, 3", "32, 64, 3"))
    done = invoke("check", str(studied.schedule), "--net", "other.py")
    refused(done, str(studied.schedule), "signature", "autosched run")


def test_an_unknown_study(studied: Studied, invoke: Invoke) -> None:
    for words in (("show",), ("export",), ("resume",)):
        refused(invoke(*words, "nope", "--storage", studied.url), "no study 'nope'", "tiny-n150")


# Profiles.


@pytest.mark.parametrize("command", ["predict", "calibrate"])
def test_profiles_that_are_none(command: str, invoke: Invoke) -> None:
    refused(invoke(command, "gone.csv"), "gone.csv", "cannot be read")
    Path("table.csv").write_text("a,b\n1,2\n")
    refused(invoke(command, "table.csv"), "table.csv", "OP CODE")


# Values that no machine has room for, and names that no file can have.

LONG = "n" * 300


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "net.py", "--board", ""), "unknown board ''"),
        (("run", "net.py", "--study", ""), "--study '' is no name"),
        (("list", "--storage", ""), "is no database URL"),
        (("run", "net.py", "--effort", ""), "unknown effort ''"),
        (("run", "net.py", "--seed", "4294967296"), "from 0 to 4294967295"),
        (("run", "net.py", "--seed", "-1"), "from 0 to 4294967295"),
        (("run", "net.py", "--timeout", "9" * 400), "ten years"),
        (("run", "net.py", "--jobs", "9" * 30), "at most 256 workers"),
        (("run", "net.py", "--export", f"{LONG}.py"), "File name too long"),
        (("run", "net.py", "--start", f"{LONG}.json"), "File name too long"),
        (("run", f"{LONG}.py"), "File name too long"),
        (("check", f"{LONG}.json", "--net", "net.py"), "File name too long"),
        (("bench", "net.py", "--board", ""), "unknown board ''"),
        (("bench", "net.py", "--plot", f"{LONG}.html"), "File name too long"),
        (("coverage", "net.py", "-o", f"{LONG}.md"), "File name too long"),
        (("simulate", "--effort", ""), "unknown effort ''"),
        (("merge", LONG), "File name too long"),
        (("list", "--storage", f"sqlite:////tmp/{LONG}/a.sqlite3"), "File name too long"),
        (("list", "--storage", "sqlite:///f?timeout=abc"), "timeout is 'abc'; write seconds"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_values_out_of_range(
    arguments: tuple[str, ...],
    words: str,
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTOSCHED_STORAGE", f"sqlite:///{tmp_path}/a.sqlite3")
    Path("net.py").write_text(TINY)
    refused(invoke(*arguments), words)


def test_a_number_that_no_database_counts_to(studied: Studied, invoke: Invoke) -> None:
    done = invoke("export", studied.name, "--trial", "9" * 30, "--storage", studied.url)
    assert done.code == 2
    assert "less than or equal to 2147483647" in done.err
