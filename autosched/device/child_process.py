"""Child processes that load ttnn: their environment, and their end."""

import os
import signal
import subprocess
from contextlib import suppress

from autosched.device.machine import CACHE_VARIABLE, cache_dir, home_for_ttnn

_EXIT_GRACE_S = 10.0


def worker_environment() -> dict[str, str]:
    """Return what of the environment is another one for the worker, in its own directory.

    Raises:
        DeviceError: if ttnn needs a home directory, and none can be made.
    """
    return {**_python_path(), **home_for_ttnn(), CACHE_VARIABLE: str(cache_dir())}


def _python_path() -> dict[str, str]:
    """Return PYTHONPATH as it is meant here: relative to our directory, not to the worker's."""
    if not (given := os.environ.get("PYTHONPATH", "")):
        return {}
    return {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, given.split(os.pathsep)))}


def end_process(child: "subprocess.Popen[bytes]", grace_s: float) -> None:
    """Kill a process and what it started, unless it ends by itself within ``grace_s``."""
    with suppress(subprocess.TimeoutExpired):
        child.wait(grace_s)
    # Also when it is gone: what it started may still be there.
    kill_group(child)
    # A process that hangs inside a driver does not even die of that.
    with suppress(subprocess.TimeoutExpired):
        child.wait(_EXIT_GRACE_S)


def kill_group(child: "subprocess.Popen[bytes]") -> None:
    """Kill a process that leads a group, and all of the group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
