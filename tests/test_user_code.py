import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autosched.user_code import ProcessEndError, is_of_the_user, process_kept


@pytest.mark.parametrize(
    "end",
    [
        lambda: os._exit(3),
        lambda: os.abort(),  # noqa: PLW0108 - another one by then
        lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
        lambda: os.execlp("true", "true"),  # noqa: S606, S607
    ],
    ids=["_exit", "abort", "execv", "execlp"],
)
def test_what_would_end_the_process_is_an_exception(end: Callable[[], Any]) -> None:
    before = os._exit, os.abort, os.execv, os.execve
    with pytest.raises(ProcessEndError, match=r"os\.\w+\(.*\) would end"), process_kept():
        end()
    assert (os._exit, os.abort, os.execv, os.execve) == before


def test_contexts_that_overlap_leave_the_real_ones() -> None:
    before = os._exit, os.abort, os.execv, os.execve
    first, second = process_kept(), process_kept()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with pytest.raises(ProcessEndError):
        os._exit(3)
    second.__exit__(None, None, None)
    assert (os._exit, os.abort, os.execv, os.execve) == before


def test_a_forked_child_ends_as_it_should() -> None:
    with process_kept():
        child = os.fork()
        if not child:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.fixture
def handled() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("handled")
def test_an_interruption_is_the_users_only_where_autosched_has_its_own() -> None:
    ours = type("Interrupted", (KeyboardInterrupt,), {"__module__": "autosched.cli.exits"})
    assert is_of_the_user(KeyboardInterrupt())
    assert not is_of_the_user(ours())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert not is_of_the_user(KeyboardInterrupt())
    assert is_of_the_user(SystemExit(3))


def test_a_segmentation_fault_leaves_its_line() -> None:
    code = (
        "import ctypes\nfrom autosched.user_code import process_kept\n"
        "with process_kept():\n    ctypes.string_at(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in done.stderr
    assert 'File "<string>", line 4' in done.stderr
