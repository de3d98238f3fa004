"""Notes the calls of a layer alone, on the mock device, in a process of its own.

The mock device computes nothing, but what is called does not depend on what comes of it.
"""

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from autosched.boards import L1_SMALL_BYTES, Board
from autosched.device.interface import LayerTest
from autosched.device.machine import cache_dir, open_local_device
from autosched.errors import DeviceError
from autosched.reproduction.script import Finding, NotedCalls, render_script

_LIMIT_S = 300


def script_of(board: Board, test: LayerTest, finding: Finding) -> str:
    """Return a script that runs a layer or reshard alone, and compares it with PyTorch.

    Raises:
        DeviceError: if it cannot be written, with what stands in its way.
    """
    given = (board, test, finding)
    return recorded_apart(__name__, given, f"a script of {finding.title}", _LIMIT_S).decode()


def recorded_apart(module: str, given: object, what: str, limit_s: float) -> bytes:
    """Return what a module writes that is run by itself, and given some values.

    Raises:
        DeviceError: if it writes nothing, or takes longer; ``what`` says what cannot be written.
    """
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir()) as directory:
        target = Path(directory) / "written"
        try:
            done = subprocess.run(
                [sys.executable, "-m", module, str(target)],
                input=pickle.dumps(given),
                capture_output=True,
                check=False,
                timeout=limit_s,
                cwd=directory,
            )
        except subprocess.TimeoutExpired:
            raise DeviceError(
                f"{what} cannot be written: the mock device took over {limit_s:g} s"
            ) from None
        if done.returncode or not target.is_file():
            words = done.stderr.decode(errors="replace").strip().splitlines()
            raise DeviceError(
                f"{what} cannot be written: "
                f"{words[-1] if words else 'the mock device ended without a word'}"
            )
        return target.read_bytes()


def noted_calls(board: Board, test: LayerTest) -> NotedCalls:
    """Run a layer on the mock device and return the calls that this took.

    Raises:
        LookupError: if a call takes what cannot be written.
    """
    with open_local_device(board) as local:
        # They load ttnn, which reads the environment of the mock device.
        from autosched.device.ttnn.calls import Context  # noqa: PLC0415
        from autosched.device.ttnn.execution import (  # noqa: PLC0415
            GARBAGE,
            evaluated,
            leave_garbage,
            network_of_test,
            put_inputs,
            run_test,
            values_of,
        )
        from autosched.device.ttnn.runner import read_back  # noqa: PLC0415
        from autosched.reproduction.calls import (  # noqa: PLC0415
            TorchNotes,
            memory_argument,
            noting_ttnn,
        )
        from autosched.reproduction.noted_lines import (  # noqa: PLC0415
            NotedLines,
            Parameter,
            used_lines,
        )

        lines = NotedLines(memory_argument)
        lines.name(local.device, "device")
        with TorchNotes(lines):
            network = network_of_test(test)
            values = values_of(test)
            layer = network.layers[-1]
            expected = lines.text(evaluated(network, layer, list(values)))
            truth = lines.cut()
            context = Context(local.device, board, network)
            with noting_ttnn(lines):
                leave_garbage(context, Parameter(GARBAGE[0], "garbage"))
                tensors = put_inputs(local.device, test, values)
                seen = lines.text(read_back(layer, run_test(context, layer, test, tensors)))
            body = used_lines(lines.cut(), [seen])
        read = used_lines([*truth, *body], [expected, seen])
        truth = [line for line in truth if line in read]
        return NotedCalls(truth, expected, body, seen, GARBAGE, L1_SMALL_BYTES)


if __name__ == "__main__":
    asked_board, asked_test, found = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the parent
    Path(sys.argv[1]).write_text(
        render_script(found, noted_calls(asked_board, asked_test)), encoding="utf-8"
    )
