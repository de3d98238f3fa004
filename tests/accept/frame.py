"""Finds the promises, and takes each in a process that costs only itself."""

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import tests.accept
from tests.accept.promise import Promise, Result

ROOT = Path(__file__).parents[2]
_GRACE_S = 15.0
_LAST_WORDS = 4


def find_promises() -> list[Promise]:
    """All that is promised, the quick ones first."""
    names = [item.name for item in pkgutil.iter_modules(tests.accept.__path__)]
    modules = [
        importlib.import_module(f"tests.accept.{name}")
        for name in names
        if name.startswith("promise_")
    ]
    found = [promise for module in modules for promise in module.PROMISES]
    return sorted(found, key=lambda promise: (promise.time_limit_s, promise.name))


def take(promise: Promise) -> Result:
    """Measure a promise; whatever becomes of its process is a result."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="autosched-accept-") as text:
        directory = Path(text)
        # A server that may not run as root has to find its way to a directory of its own.
        directory.chmod(0o711)
        answer = _answered(promise, directory)
    return Result(promise, time.monotonic() - began, **answer)


def _answered(promise: Promise, directory: Path) -> dict[str, Any]:
    result, log = directory / "result.json", directory / "log"
    module = promise.measure.__module__
    command = [sys.executable, "-m", "tests.accept.child", module, promise.name, str(result)]
    with log.open("wb") as words:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            # What it leaves behind goes with its directory.
            env={**os.environ, "TMPDIR": str(directory)},
            start_new_session=True,
        )
        try:
            child.wait(promise.time_limit_s)
        except subprocess.TimeoutExpired:
            return {"broken": f"no answer within {promise.time_limit_s:g} s"}
        finally:
            _end(child)
    if child.returncode == 0 and result.is_file():
        answer: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return answer
    return {"broken": f"exit code {child.returncode}: {_last_words(log)}"}


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End a process with all that it started."""
    if child.poll() is None:
        _signal(child, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_S)
    _signal(child, signal.SIGKILL)
    child.wait()


def _signal(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return " | ".join([line.strip() for line in lines if line.strip()][-_LAST_WORDS:])
