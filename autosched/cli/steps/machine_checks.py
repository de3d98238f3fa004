"""What ``autosched doctor`` checks, each answering instead of raising."""

import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from autosched.boards import BOARDS, Board
from autosched.device.machine import (
    SIMULATOR,
    cache_dir,
    card_firmware,
    choose_device,
    kernel_directories,
    silicon_devices,
    ttnn_version,
)
from autosched.device.mock.kernel_cache import MOST_KERNELS, count_kernels
from autosched.device.simulator.environment import (
    check_simulates,
    installed_toolchain,
    simulator_library,
)
from autosched.device.worker import WorkerDevice
from autosched.errors import AutoschedError
from autosched.evidence.table import shipped_evidence
from autosched.report import words
from autosched.store.address import default_url, named_url, parse_url
from autosched.store.database import open_writable

_PYTHONS = ((3, 10), (3, 12))


@dataclass(frozen=True)
class Check:
    """One finding; ``state`` is "ok", "warning" or "failed", ``advice`` what to do about it."""

    name: str
    state: str
    detail: str
    advice: str = ""

    @property
    def mark(self) -> str:
        """The state as it is shown."""
        return {"ok": "ok", "warning": "warning", "failed": "FAILED"}[self.state]

    @property
    def style(self) -> str:
        """The colour of the line."""
        return {"ok": "green", "warning": "yellow", "failed": "red"}[self.state]


def checks(board: Board, device: str, storage: str | None) -> Iterator[Check]:
    """Yield the checks, the slow ones last."""
    yield _python()
    yield from (_package(name) for name in ("ttnn", "torch", "optuna"))
    yield _card()
    yield _compiler()
    if device == SIMULATOR:
        yield _simulator(board)
        yield _sfpi()
    yield _kinds(board)
    yield _cache()
    yield _database(storage)
    yield _dashboard(storage)
    yield _device(board, device)


def _python() -> Check:
    text = platform.python_version()
    if sys.version_info[:2] in _PYTHONS:
        return Check("python", "ok", text)
    return Check("python", "failed", text, "ttnn has wheels for Python 3.10 and 3.12: make setup")


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", version(name))
    except PackageNotFoundError:
        return Check(name, "failed", "not installed", "run make setup, or pip install autosched")


def _card() -> Check:
    cards = silicon_devices()
    if cards:
        found = ", ".join(map(str, cards))
        firmware = card_firmware()
        if firmware:
            return Check("card", "ok", f"{found}, firmware {firmware}")
        advice = "a newer tt-kmd or tt-smi says it; times of other firmware are not told apart"
        return Check("card", "warning", f"{found}, firmware unknown", advice)
    return Check("card", "ok", "none; the mock device runs, and times are estimated")


def _compiler() -> Check:
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found:
        return Check("compiler", "ok", found)
    advice = "probing a new network takes about twice as long; install gcc or clang"
    return Check("compiler", "warning", "no C compiler for the mock device's kernels", advice)


def _simulator(board: Board) -> Check:
    try:
        library = simulator_library()
        check_simulates(library, board)
    except AutoschedError as error:
        return Check("simulator", "failed", str(error))
    return Check("simulator", "ok", f"{library}, a {board.arch}")


def _sfpi() -> Check:
    """The compiler of kernels, which the simulator executes."""
    try:
        found = installed_toolchain()
    except AutoschedError as error:
        return Check("sfpi", "failed", str(error))
    return Check("sfpi", "ok", f"{found.compiler} ({found.version})")


def _kinds(board: Board) -> Check:
    ttnn = ttnn_version()
    evidence = shipped_evidence(ttnn)
    executed, wrong = (0, 0) if evidence is None else evidence.count(board.arch)
    if not executed:
        advice = "autosched simulate --write executes some; until then nothing is left out for it"
        text = f"no kind of candidate was executed on a {board.arch} with ttnn {ttnn}"
        return Check("kinds", "warning", text, advice)
    note = f", {wrong} more wrong" if wrong else ""
    right = executed - wrong
    return Check("kinds", "ok", f"{right} of candidates executed right on a {board.arch}{note}")


def _cache() -> Check:
    path = cache_dir()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            free = shutil.disk_usage(path).free
    except OSError as error:
        advice = "set AUTOSCHED_CACHE to a directory of your own with room in it"
        return Check("cache", "failed", f"{path}: {error.strerror}", advice)
    kernels = sum(map(count_kernels, kernel_directories()))
    found = f"{path}, {words.count(kernels, 'kernel')} of the mock device"
    advice = "autosched clean deletes them" if kernels > MOST_KERNELS * len(BOARDS) else ""
    return Check("cache", "ok", f"{found}, {free / 2**30:.1f} GiB free", advice)


def _database(storage: str | None) -> Check:
    try:
        with open_writable(storage) as store:
            return Check("database", "ok", store.describe())
    except AutoschedError as error:
        return Check("database", "failed", str(error))


def _dashboard(storage: str | None) -> Check:
    command = shutil.which("optuna-dashboard", path=f"{sys.prefix}/bin") or "optuna-dashboard"
    try:
        named = named_url(storage)
        address = parse_url(default_url() if named is None else named)
    except AutoschedError:  # the check of the database says why
        return Check("dashboard", "ok", f"{command} URL, with the URL of --storage")
    return Check("dashboard", "ok", shlex.join([command, address.shown_url]))


def _device(board: Board, wanted: str) -> Check:
    began = time.monotonic()
    try:
        kind = SIMULATOR if wanted == SIMULATOR else choose_device(wanted)
        with WorkerDevice(board, kind) as worker:
            worker.start()
    except (AutoschedError, OSError) as error:
        return Check("device", "failed", str(error))
    took = words.seconds(time.monotonic() - began)
    return Check("device", "ok", f"{kind} {board.name} opens in {took}")
