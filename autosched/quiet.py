"""ttnn imported without what it has to say, and without a trace in the caller's process."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

QUIET = {"TT_METAL_LOGGER_LEVEL": "off", "LOGURU_LEVEL": "ERROR"}
"""What ttnn reads when it is first imported; it prints its configuration otherwise."""


def import_quietly(name: str) -> ModuleType:
    """Import a module of ttnn's (it takes seconds), without its log on the terminal.

    What the caller has set of these variables holds, and the rest is taken back.

    Raises:
        ImportError: if there is no such module.
    """
    with _quiet_environment():
        return importlib.import_module(name)


@contextmanager
def _quiet_environment() -> Iterator[None]:
    # ttnn 0.81.1 ends the process where there is no HOME, as in services.
    needed = {**QUIET, "HOME": os.path.abspath(os.path.expanduser("~"))}
    added = {name: value for name, value in needed.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
