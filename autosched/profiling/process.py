"""The process in which a user's program runs: opens the mock device, runs it, reads what it did.

It dies with its parent, which kills it in the end: nothing is closed here. What loads ttnn is
imported once the mock device's environment is in place.
"""

import faulthandler
import importlib.util
import inspect
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from autosched.device.machine import open_local_device
from autosched.device.rejections import refusal_words
from autosched.device.ttnn.graph_capture import Node, dataflow_buffers, lacks_buffers
from autosched.device.worker_process import Channel, die_with_parent
from autosched.errors import AutoschedError, ProgramError
from autosched.profiling.captured_run import read_run
from autosched.profiling.program import FUNCTIONS, ProgramProfile, ProgramRequest
from autosched.user_code import is_of_the_user, process_kept

if TYPE_CHECKING:
    from autosched.device.ttnn.local_device import LocalDevice
    from autosched.profiling.stand_ins import Calls

_Forward = Callable[[], object]
_AGAIN = (
    "raises when it is run again (profile the first run with --first, or have the function return "
    "its forward pass, which is then the part that is run twice)"
)
_NO_BUFFERS = (
    "the run could not be repeated without dispatch: cores and L1 of matmuls, pointwise ops and "
    "permutations are known in part"
)


def answer_parent() -> None:
    """Run the program that the parent asks for, at the socket that the first argument numbers.

    The second argument is the descriptor of the program's own standard error.
    """
    die_with_parent()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    sys.stderr = os.fdopen(int(sys.argv[2]), "w", buffering=1)
    asked: ProgramRequest = channel.receive()
    try:
        device = open_local_device(asked.board)
        faulthandler.enable(2)
        answer: ProgramProfile | AutoschedError = run_program(asked, device)
    except AutoschedError as error:
        answer = error.with_traceback(None)
    sys.stdout.flush()
    channel.send(answer)
    # ttnn has nothing to say of objects that are still there.
    os._exit(0)


def run_program(asked: ProgramRequest, device: "LocalDevice") -> ProgramProfile:
    """Run a program on the open mock device, and return what its run did.

    Raises:
        ProgramError: if it cannot be used, raises, or runs nothing on the device.
    """
    from autosched.profiling.stand_ins import standing_in  # noqa: PLC0415 - loads ttnn

    os.chdir(asked.directory)
    calls: Calls = []
    file = Path(asked.file)
    with standing_in(calls), _user_code(file, "raises"):
        run = _Run(asked, file, device, calls)
        graph = run.captured()
        recorded = tuple(calls)
        dry = run.dry() if lacks_buffers(graph) else []
    buffers = {} if dry is None else dataflow_buffers(graph, dry)
    notes = (_NO_BUFFERS,) if dry is None else ()
    return read_run(graph, buffers, run.kept_l1_bytes, recorded, notes, file.name)


class _Run:
    """A program that is run: first as it comes, then captured, then without dispatch."""

    def __init__(
        self,
        asked: ProgramRequest,
        file: Path,
        device: "LocalDevice",
        calls: "Calls",
    ) -> None:
        self._asked = asked
        self._file = file
        self._device = device.device
        self._calls = calls
        self._function = self._loaded()
        self._forward: _Forward | None = None
        self.kept_l1_bytes = 0

    def _loaded(self) -> Callable[[Any], object]:
        return _function(self._file, _imported(self._file), self._asked.function)

    def captured(self) -> list[Node]:
        """Return the graph of the run that was asked for: the second, or the first."""
        if self._asked.first:
            graph, made = self._capture(lambda: self._function(self._device))
            if not callable(made):
                return graph
            self._forward = made
            with redirect_stdout(None):
                return self._capture(made)[0]
        made = self._function(self._device)
        again = self._again(made)
        del made
        with redirect_stdout(None), _user_code(self._file, _AGAIN):
            return self._capture(again)[0]

    def _again(self, made: object) -> _Forward:
        """Return what the second run calls; a forward pass that was prepared has its first run."""
        if not callable(made):
            return lambda: self._function(self._device)
        self._forward = made
        with redirect_stdout(None):
            made()
        return made

    def dry(self) -> list[Node] | None:
        """Return the graph of such a run without dispatch, None where it does not come about."""
        import ttnn  # noqa: PLC0415 - it is there already

        try:
            with redirect_stdout(None):
                if self._asked.first:
                    self._function = self._loaded()
                    made = self._function(self._device) if self._forward else None
                    self._forward = made if callable(made) else None
                forward = self._forward or (lambda: self._function(self._device))
                return self._capture(forward, ttnn.graph.RunMode.NO_DISPATCH)[0]
        except Exception:
            return None

    def _capture(self, forward: _Forward, mode: Any = None) -> tuple[list[Node], object]:
        """Return the graph of a run, and what the run returned."""
        from autosched.profiling.stand_ins import capturing, kept_l1_bytes  # noqa: PLC0415

        self._device.disable_and_clear_program_cache()
        self._calls.clear()
        self.kept_l1_bytes = kept_l1_bytes(self._device)
        with capturing(mode) as graph:
            made = forward()
        return graph, made


def _function(file: Path, module: ModuleType, named: str) -> Callable[[Any], object]:
    """Return the program's function: the one that is named, or the first of the usual names.

    Raises:
        ProgramError: if there is none, or it does not take a device alone.
    """
    names = [named] if named else [name for name in FUNCTIONS if hasattr(module, name)]
    function = getattr(module, names[0], None) if names else None
    if function is None:
        looked = f"no {named!r}" if named else f"none of {', '.join(FUNCTIONS)}"
        raise ProgramError(
            f"{file.name} has {looked}; write a function that takes the device, as in "
            f"`def {named or FUNCTIONS[0]}(device):`, or name another with --function"
        )
    if not callable(function):
        raise ProgramError(f"{file.name}: `{names[0]}` is a {type(function).__name__}, no function")
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError) as error:
        raise ProgramError(
            f"{file.name}: `{names[0]}` is to take the device, and nothing else: {error}"
        ) from None
    found: Callable[[Any], object] = function
    return found


def _imported(file: Path) -> ModuleType:
    name = f"_autosched_program_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None  # noqa: S101 - true for every path that ends in .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # As Python does for scripts: a program imports its neighbours.
    sys.path.insert(0, str(file.resolve().parent))
    spec.loader.exec_module(module)
    return module


@contextmanager
def _user_code(file: Path, what: str) -> Iterator[None]:
    """Turn what the program raises into one message with its place, and nothing of ours."""
    try:
        with process_kept():
            yield
    except AutoschedError:
        raise
    except SyntaxError as error:
        where = f"{Path(error.filename or file.name).name}:{error.lineno}"
        raise ProgramError(f"{where}: {type(error).__name__}: {error.msg}") from None
    except BaseException as error:
        if not is_of_the_user(error):
            raise
        from autosched.network.source_places import source_of_error  # noqa: PLC0415 - loads torch

        where = source_of_error(error, str(file.resolve())) or file.name
        words = " ".join(refusal_words(error).split())
        said = f"{type(error).__name__}: {words}".removesuffix(f": {type(error).__name__}")
        raise ProgramError(f"{where}: the program {what}: {said}") from None
