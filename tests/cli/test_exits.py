"""Whatever ends a search, at whatever moment, loses nothing that was finished."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import textwrap
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Studied, command, in_process_of_its_own


def started(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def copied(studied: Studied, directory: Path) -> str:
    shutil.copy(studied.url.removeprefix("sqlite:///"), directory / "copy.sqlite3")
    return f"sqlite:///{directory}/copy.sqlite3"


def counted(url: str, table: str) -> int:
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(number)


def wait_for(process: "subprocess.Popen[str]", url: str, table: str, number: int) -> None:
    deadline = time.monotonic() + 100
    while counted(url, table) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"too few in {table}"
        time.sleep(0.05)


def test_killing_loses_no_finished_trial_or_probe(studied: Studied, tmp_path: Path) -> None:
    url = copied(studied, tmp_path)
    before = counted(url, "autosched_probe")
    # More effort than the study had: there is more to probe.
    more = ("--effort", "default", "--storage", url)
    with started("resume", "tiny-n150", *more) as process:
        wait_for(process, url, "autosched_probe", before + 5)
        process.kill()
    trials, probes = counted(url, "autosched_trial"), counted(url, "autosched_probe")
    assert trials == 3
    assert probes >= before + 5
    done = in_process_of_its_own("resume", "tiny-n150", "--trials", "1", *more, "--json")
    assert done.code == 0, done.err
    assert "goes on after 3 trials" in done.err
    assert done.json["trials"] == 4
    found = re.search(r"Probed: (\d+) probes run, (\d+) reused", done.err)
    assert found is not None
    assert int(found[1]) + probes == counted(url, "autosched_probe")


@pytest.mark.parametrize(
    ("number", "code", "table"),
    [(signal.SIGINT, 130, "autosched_trial"), (signal.SIGTERM, 143, "autosched_probe")],
)
def test_a_signal_saves_and_says_how_to_go_on(
    studied: Studied, tmp_path: Path, number: int, code: int, table: str
) -> None:
    url = copied(studied, tmp_path)
    effort = "quick" if table == "autosched_trial" else "default"
    arguments = ("--trials", "100000", "--sampler", "random", "--effort", effort)
    with started("resume", "tiny-n150", *arguments, "--storage", url) as process:
        wait_for(process, url, table, counted(url, table) + 2)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"autosched resume tiny-n150 --storage {url}" in out
    assert "Traceback" not in err
    shown = re.findall(r"^Trial (\d+),", out, re.MULTILINE)
    assert counted(url, "autosched_trial") >= 3 + len(shown)


@pytest.mark.parametrize("after_s", [0.4, 2.0])
def test_a_signal_before_the_search_says_how_to_begin_again(
    tiny: Path, tmp_path: Path, after_s: float
) -> None:
    with started("run", str(tiny), "--storage", f"sqlite:///{tmp_path}/a.sqlite3") as process:
        time.sleep(after_s)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err


def test_the_third_signal_ends_at_once(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import time
        from autosched.cli import exits as interrupts

        interrupts.install()
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            print("saving", flush=True)
            time.sleep(60)
    """)
    (tmp_path / "slow.py").write_text(script)
    process = subprocess.Popen(
        [command()[0], str(tmp_path / "slow.py")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "saving\n"
        for _ in range(2):
            time.sleep(0.2)
            os.kill(process.pid, signal.SIGINT)
        assert process.wait(10) == 130
