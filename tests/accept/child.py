"""One promise in a process of its own: ``python -m tests.accept.child MODULE NAME RESULT``."""

import importlib
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from tests.accept.promise import NotMeasuredError


def leave(number: int, _frame: FrameType | None) -> None:
    """Leave by an exception, so that servers and searches are ended on the way out."""
    raise SystemExit(128 + number)


def measured(module: str, name: str) -> dict[str, Any]:
    """Measure the promise called ``name`` among ``PROMISES`` of a module."""
    promises = importlib.import_module(module).PROMISES
    (promise,) = (item for item in promises if item.name == name)
    try:
        return {"figures": dict(promise.measure())}
    except NotMeasuredError as missing:
        return {"missing": str(missing)}


def main(module: str, name: str, result: str) -> None:
    signal.signal(signal.SIGTERM, leave)
    Path(result).write_text(json.dumps(measured(module, name)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
