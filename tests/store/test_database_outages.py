"""A search whose database goes away in the middle: a wait or a clear message, and nothing lost."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select

from autosched.store import models
from autosched.store.database import open_store
from tests.cli.conftest import write_tiny
from tests.cluster.laboratory import scheduler
from tests.device.conftest import ROOT
from tests.examples.postgresql import NEEDED, RunningServer, server_directory
from tests.examples.waiting import wait_for

_LOCKED_S = 30.0
_CUT_S = 20.0

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


def program(*words: str) -> list[str]:
    return [sys.executable, "-m", "autosched.cli.main", *words]


@dataclass
class Search:
    """``autosched run`` of the small network, in a process of its own."""

    directory: Path
    url: str

    def __post_init__(self) -> None:
        self.net = self.directory / "tiny.py"
        if not self.net.exists():
            write_tiny(self.directory)

    @contextmanager
    def running(self, *more: str) -> Iterator["subprocess.Popen[bytes]"]:
        with (self.directory / "said.txt").open("ab") as log:
            child = subprocess.Popen(
                program(
                    *("run", str(self.net), "--effort", "quick", "--trials", "4", "--no-check"),
                    *("--device", "mock", "--study", "outage", "--storage", self.url, *more),
                ),
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        try:
            yield child
        finally:
            child.kill()
            child.wait()

    def said(self) -> str:
        return (self.directory / "said.txt").read_text()

    def probes(self) -> int:
        with open_store(self.url) as store, store.reading() as session:
            return session.scalar(select(func.count()).select_from(models.ProbeRow)) or 0

    def has_begun(self) -> bool:
        """Whether some probes are there, of many more."""
        try:
            return self.probes() > 20
        except Exception:
            return False

    def goes_on(self, before: int) -> None:
        """Raise AssertionError unless a search ends well, and begins with what was stored."""
        assert self.probes() >= before
        with self.running() as child:
            assert child.wait(200) == 0, self.said()
        assert self.probes() > before
        assert "Best: " in self.said()


def test_a_sqlite_database_that_is_locked_for_long_is_waited_for(tmp_path: Path) -> None:
    search = Search(tmp_path, f"sqlite:///{tmp_path}/locked.sqlite3")
    with search.running() as child:
        assert wait_for(search.has_begun, 100)
        with closing(sqlite3.connect(tmp_path / "locked.sqlite3", timeout=20)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(_LOCKED_S)
            other.rollback()
        code = child.wait(200)
    before = search.probes()
    assert code == 0 or (code == 2 and "is locked" in search.said()), search.said()
    if code:
        search.goes_on(before)


def test_a_postgresql_server_that_is_restarted_loses_nothing(tmp_path: Path) -> None:
    binaries = server_directory()
    if binaries is None:
        pytest.skip(f"needs {NEEDED}")
    with RunningServer(binaries) as server:
        search = Search(tmp_path, server.url)
        with search.running() as child:
            assert wait_for(search.has_begun, 100)
            server.restart()
            code = child.wait(200)
        before = search.probes()
        assert code in (0, 2), search.said()
        assert "Traceback" not in search.said()
        if code:
            assert "error: " in search.said()
            search.goes_on(before)


def as_root(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def small_file_system(place: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Mount memory of some size there; yields what mounts it anew with other options."""
    place.mkdir()

    def mount(*words: str) -> None:
        as_root("mount", *words, str(place))

    try:
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a file system")
    try:
        yield lambda options: mount("-o", f"remount,{options}")
    finally:
        as_root("umount", "-l", str(place))


@pytest.mark.parametrize("words", ["full", "read-only"])
def test_a_file_system_that_takes_no_more_is_said(tmp_path: Path, words: str) -> None:
    with small_file_system(tmp_path / "disk", "64m") as remount:
        search = Search(tmp_path, f"sqlite:///{tmp_path}/disk/some.sqlite3")
        with search.running() as child:
            assert wait_for(search.has_begun, 100)
            before = search.probes()
            if words == "read-only":
                # What is open for writing cannot be made read-only: a search finds it so.
                child.kill()
                child.wait()
                remount("ro")
            else:
                fill(tmp_path / "disk" / "ballast")
        with search.running() as child:
            code = child.wait(200)
        assert code == 2, search.said()
        assert words in search.said().lower()
        assert "Traceback" not in search.said()
        if words == "read-only":
            remount("rw")
        else:
            (tmp_path / "disk" / "ballast").unlink()
        search.goes_on(before)


def fill(file: Path) -> None:
    """Write until nothing more is taken."""
    with file.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(b"0" * 4096)
        except OSError:
            return


def ip(*words: str) -> None:
    as_root("ip", *words)


@contextmanager
def namespace(name: str) -> Iterator[str]:
    try:
        ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to make network namespaces")
    try:
        yield name
    finally:
        ip("netns", "delete", name)


def test_a_network_that_is_cut_for_a_while_is_waited_for(tmp_path: Path) -> None:
    """A database in another network namespace; a card's machine may be that far away."""
    binaries = server_directory()
    if binaries is None:
        pytest.skip(f"needs {NEEDED}")
    name, ours, theirs = (f"as{os.getpid() % 10_000}{end}" for end in ("n", "a", "b"))
    with ExitStack() as opened:
        opened.enter_context(namespace(name))
        ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        ip("address", "add", "10.213.7.1/30", "dev", ours)
        ip("link", "set", ours, "up")
        ip("-n", name, "address", "add", "10.213.7.2/30", "dev", theirs)
        ip("-n", name, "link", "set", theirs, "up")
        ip("-n", name, "link", "set", "lo", "up")
        inside = ("ip", "netns", "exec", name)
        server = opened.enter_context(
            RunningServer(binaries, host="10.213.7.2", prefix=inside, trusts="10.213.7.0/30")
        )
        search = Search(tmp_path, server.url)
        with search.running() as child:
            assert wait_for(search.has_begun, 100)
            ip("link", "set", ours, "down")
            time.sleep(_CUT_S)
            ip("link", "set", ours, "up")
            code = child.wait(300)
        before = search.probes()
        assert code in (0, 2), search.said()
        assert "Traceback" not in search.said()
        if code:
            search.goes_on(before)


def test_a_scheduler_that_is_restarted_costs_a_search_nothing(tmp_path: Path) -> None:
    search = Search(tmp_path, f"sqlite:///{tmp_path}/cluster.sqlite3")
    with ExitStack() as opened:
        address, first = opened.enter_context(scheduler(tmp_path))
        log = opened.enter_context((tmp_path / "worker.txt").open("wb"))
        worker = subprocess.Popen(
            program("worker", address, "--device", "mock", "--jobs", "1"),
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        opened.callback(worker.wait)
        opened.callback(worker.kill)
        with search.running("--cluster", address) as child:
            assert wait_for(search.has_begun, 100)
            first.kill()
            first.wait()
            time.sleep(2.0)
            port = int(address.rpartition(":")[2])
            opened.enter_context(scheduler(tmp_path, port))
            assert child.wait(300) == 0, search.said()
    assert "The scheduler is back." in search.said()
