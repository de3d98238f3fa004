"""What holds for every test."""

import signal

import hypothesis
import pytest

from tests import set_shipped_table_aside
from tests.once import OncePerRun, directory_of_run


def _restore_signals() -> None:
    """Let child processes see Ctrl-C.

    A run in the background of a shell starts with SIGINT ignored, which children inherit.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


_restore_signals()
set_shipped_table_aside()

# No test has a time limit of its own, since a loaded machine is no mistake; each run tries the same
# examples, so that one that fails can be repeated.
hypothesis.settings.register_profile("autosched", deadline=None, derandomize=True)
hypothesis.settings.load_profile("autosched")

pytest_plugins = ["tests.examples.studied", "tests.examples.simulator"]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> OncePerRun:
    """Makes data that takes seconds, for all workers of this run."""
    directory = directory_of_run(tmp_path_factory.getbasetemp()) / "once"
    directory.mkdir(exist_ok=True)
    return OncePerRun(directory)
