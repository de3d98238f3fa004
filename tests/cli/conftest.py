"""One small network, searched once by the real command, and a way to run commands."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from autosched.cli.main import run_command_line
from autosched.report.output import Screen
from tests.examples.json_outputs import check_output
from tests.once import OncePerRun

TINY = """\
from torch import nn

print("a network file may print")
model = nn.Sequential(
    nn.Conv2d(8, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1)
)
input_shape = (1, 8, 32, 32)
"""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Studied:
    """A study of the small network: its database, files, and what its search printed."""

    url: str
    name: str
    net: Path
    schedule: Path
    done: Done


Invoke = Callable[..., Done]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "autosched.cli.main", *arguments]


def in_process_of_its_own(*arguments: str, **options: Any) -> Done:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, check=False, **options
    )
    if "--json" in arguments and done.stdout:
        check_output(arguments, json.loads(done.stdout), failed=done.returncode != 0)
    return Done(done.returncode, done.stdout, done.stderr)


def on_a_terminal(*arguments: str, **options: Any) -> tuple[int, str]:
    """Run a command whose words go to a terminal; return its exit code and all that was shown."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        command(*arguments), stdout=theirs, stderr=theirs, env=environment, **options
    ) as process:
        os.close(theirs)
        shown = b""
        # Linux ends a terminal that nobody writes to any more with an error.
        with suppress(OSError):
            while part := os.read(ours, 65536):
                shown += part
        code = process.wait(120)
    os.close(ours)
    return code, shown.decode()


@pytest.fixture
def invoke(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Invoke:
    """Run a command in this process, in an empty directory; what it hands over is as documented."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def invoked(*arguments: str) -> Done:
        capfd.readouterr()
        results: list[Any] = []
        write = Screen.result

        def noted(screen: Screen, plain: Any) -> None:
            results.append(plain)
            write(screen, plain)

        # What a command sets in its process is not for the tests that follow in ours.
        with patch.dict(os.environ), patch.object(Screen, "result", noted):
            code = run_command_line(arguments)
        out, err = capfd.readouterr()
        for plain in results:
            check_output(arguments, plain)
        if "--json" in arguments and code and not results and out:
            check_output(arguments, json.loads(out), failed=True)
        return Done(code, out, err)

    return invoked


@pytest.fixture(scope="session")
def tiny(once: OncePerRun) -> Path:
    """The file of the small network; it stays where it is and as it is."""
    return once("tiny", write_tiny)


def write_tiny(directory: Path) -> Path:
    path = directory / "tiny.py"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def studied(once: OncePerRun, tiny: Path) -> Studied:
    """The study that all tests look at; none of them may add to it."""
    return once("tiny_study", partial(study, tiny))


def study(net: Path, directory: Path) -> Studied:
    url = f"sqlite:///{directory}/studied.sqlite3"
    schedule = directory / "tiny_n150.py"
    done = in_process_of_its_own(
        "run", str(net), "--effort", "quick", "--trials", "3", "--storage", url,
        "--device", "mock", "--export", str(schedule), "--json",
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert done.code == 0, done.err
    return Studied(url, "tiny-n150", net, schedule, done)
