"""``autosched worker``, and a search on what it brings."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, Studied
from tests.cluster.laboratory import scheduler


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("some text", "is no address of a Dask scheduler"),
        ("http://127.0.0.1:8786", "is no address of a Dask scheduler"),
        ("tcp://127.0.0.1", "is no address of a Dask scheduler"),
        ("tcp://127.0.0.1:99999", "is no address of a Dask scheduler"),
        ("tcp://192.168.7.7:8786", "tcp:// is open to whoever is between"),
        ("tcp://example.com:8786", "tcp:// is open to whoever is between"),
    ],
)
def test_an_address_that_is_none_or_unsafe_is_refused(
    studied: Studied, invoke: Invoke, address: str, words: str
) -> None:
    for command in (
        ("worker", address, "--device", "mock"),
        ("run", str(studied.net), "--cluster", address, "--storage", studied.url),
    ):
        done = invoke(*command)
        assert done.code == 2
        assert words in " ".join(done.err.split())


def test_the_workers_of_a_cluster_are_not_counted_by_a_search(
    studied: Studied, invoke: Invoke
) -> None:
    words = ("run", str(studied.net), "--storage", studied.url, "--jobs", "2")
    done = invoke(*words, "--cluster", "tcp://127.0.0.1:1")
    assert done.code == 2
    assert "autosched worker --jobs N" in done.err


def test_a_scheduler_that_is_not_there_is_waited_for_as_long_as_asked(invoke: Invoke) -> None:
    done = invoke("worker", "tcp://127.0.0.1:1", "--device", "mock", "--wait", "1s")
    assert done.code == 2
    assert "no scheduler at tcp://127.0.0.1:1" in done.err


def test_a_search_on_a_cluster_finds_what_one_on_this_machine_found(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with scheduler(tmp_path) as (address, _process), log.open("wb") as out:
        words = ("worker", address, "--device", "mock", "--jobs", "1")
        worker = subprocess.Popen(
            [sys.executable, "-m", "autosched.cli.main", *words], stdout=out, stderr=out
        )
        try:
            done = invoke(
                *("run", str(studied.net), "--cluster", address, "--no-check", "--json"),
                *("--storage", f"sqlite:///{tmp_path}/cluster.sqlite3"),
                *("--effort", "quick"),
            )
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(30) == 0, log.read_text()
        finally:
            worker.kill()
            worker.wait()
    assert done.code == 0, done.err
    assert done.json["latency_us"] == pytest.approx(studied.done.json["latency_us"])
    assert done.json["bound_us"] == pytest.approx(studied.done.json["bound_us"])
    assert "in the cluster at tcp://127.0.0.1" in done.err
    assert "The worker has ended." in log.read_text()
