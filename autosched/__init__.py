"""autosched: a search-based auto-scheduler for convolutional networks on Tenstorrent hardware.

The names below are loaded when they are first used, so that ``import autosched`` loads neither
torch nor ttnn.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Formats": "autosched.space.formats",
    "Network": "autosched.network.graph",
    "Runner": "autosched.device.ttnn.runner",
    "Schedule": "autosched.schedule.schedule",
    "Settings": "autosched.search.settings",
    "Study": "autosched.search.study",
    "capture": "autosched.network.capture.capture",
    "create_study": "autosched.search.open_study",
    "init_unit_variance": "autosched.network.capture.initialization",
    "find_board": "autosched.boards",
    "load_network_file": "autosched.network.capture.network_file",
    "load_schedule": "autosched.export.loading",
    "load_study": "autosched.search.open_study",
    "save_schedule": "autosched.export.saving",
    "open_local_device": "autosched.device.machine",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
