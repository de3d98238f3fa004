import os
import subprocess
import sys

from autosched.bench.speed import family, watched_memory

_SCRIPT = "import sys; held = b'x' * 100_000_000; print(flush=True); sys.stdin.read()"


def test_the_memory_of_a_child_counts_while_it_lives() -> None:
    with watched_memory() as alone:
        own = family(os.getpid())[os.getpid()]
    with (
        watched_memory() as together,
        subprocess.Popen(
            [sys.executable, "-c", _SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child,
    ):
        assert child.stdout is not None
        child.stdout.readline()
        assert family(os.getpid())[child.pid] > 100_000_000
        child.communicate(timeout=10)
    assert child.pid not in family(os.getpid())
    assert alone.rss_bytes >= own * 0.9
    assert together.rss_bytes >= alone.rss_bytes


def test_only_descendants_are_family() -> None:
    assert os.getppid() not in family(os.getpid())
    assert set(family(os.getpid())) <= set(family(os.getppid()))
