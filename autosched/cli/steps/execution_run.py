"""Executing a schedule's kernels, and comparing what they compute with PyTorch."""

import os
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from autosched.cli import exits
from autosched.device.interface import LayerTest, ProbeRequest
from autosched.device.machine import SIMULATOR
from autosched.device.simulator.environment import LIBRARY_VARIABLE
from autosched.device.worker import WorkerDevice
from autosched.errors import ScheduleError
from autosched.network.graph import Layer, Network, in_execution_order
from autosched.network.operators import Constant, Input, Output
from autosched.network.read_layouts import read_layouts
from autosched.report import words
from autosched.report.execution_table import (
    ExecutedRow,
    finite,
    print_executed_layers,
    print_outputs,
    worst,
)
from autosched.report.layer_rows import describe
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.schedule.outcomes import (
    ExecutedLayer,
    Execution,
    LayerExecution,
    Rejection,
    Verdict,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import TensorLayout

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


@dataclass(frozen=True)
class Comparison:
    """A schedule to be executed on ``inputs`` (PyTorch's order); below ``min_pcc`` it is wrong."""

    file: str
    network: Network
    schedule: Schedule
    inputs: "Sequence[torch.Tensor]"
    kind: str
    min_pcc: float


def use_simulator(device: str, path: str | None) -> None:
    """Let the devices of this process find the simulator that the user names."""
    if device == SIMULATOR and path is not None:
        os.environ[LIBRARY_VARIABLE] = path


def execute_schedule(
    output: Screen, worker: WorkerDevice, asked: Comparison, *, each_layer: bool
) -> tuple[dict[str, Any], Verdict]:
    """Execute, print what agrees with PyTorch, and return it as JSON types, and the verdict.

    Raises:
        ScheduleError: if the device rejects a layer, or does not survive it.
    """
    execution = executed_network(output, worker, asked)
    if isinstance(execution, Rejection):
        raise ScheduleError(not_run(asked, execution))
    return report_execution(output, worker, asked, execution, each_layer=each_layer)


def report_execution(
    output: Screen,
    worker: WorkerDevice | None,
    asked: Comparison,
    execution: Execution,
    *,
    each_layer: bool,
) -> tuple[dict[str, Any], Verdict]:
    """Print what of an execution agrees with PyTorch, as :func:`execute_schedule` does.

    Without a worker no layer is executed on PyTorch's own input.
    """
    rows = [_row(asked.schedule, layer) for layer in execution.layers]
    if each_layer:
        if worker is not None:
            rows = _with_given(output, worker, asked, execution, rows)
        print_executed_layers(output.console, rows, asked.min_pcc)
    print_outputs(output.console, execution.outputs, asked.kind)
    blamed = worst(rows)
    lowest = min(found.pcc for found in execution.outputs.values())
    verdict = _verdict(lowest, blamed.lowest, asked.min_pcc)
    say(
        output.console,
        f"Layer that agrees least with PyTorch: {blamed.name} (concordance "
        f"{blamed.lowest:.4f}), {blamed.configuration}",
    )
    how, style = _SAID[verdict]
    say(output.console, f"{asked.file} computes {how} ({words.executed(asked.kind)})", style)
    return {
        "executed": words.executed(asked.kind),
        "is_right": verdict is Verdict.RIGHT,
        "verdict": verdict.value,
        "outputs": {name: finite(asdict(found)) for name, found in execution.outputs.items()},
        "worst_layer": blamed.to_plain(),
        "layers": [row.to_plain() for row in rows],
    }, verdict


_SAID = {
    Verdict.RIGHT: ("right", "green"),
    Verdict.IMPRECISE: (
        "imprecisely: each layer is right alone, but rounding adds up in the outputs; "
        "--activations bfloat16, a higher --fidelity and --fp32-accumulation round less",
        "yellow",
    ),
    Verdict.WRONG: ("WRONG", "red"),
}


def _verdict(output: float, layer: float, least: float) -> Verdict:
    """Return the verdict by the lowest PCC of an output and concordance of a layer alone."""
    if layer < least:
        return Verdict.WRONG
    return Verdict.RIGHT if output >= least else Verdict.IMPRECISE


def executed_network(
    output: Screen, worker: WorkerDevice, asked: Comparison
) -> Execution | Rejection:
    """Execute the schedule, showing how far it is; a rejection names its layer."""
    total = len(asked.schedule.layers)
    with layer_progress(output, "execute", total) as tell:
        return worker.execute(asked.schedule, asked.inputs, lambda layer: tell(layer.name))


def emulate_schedule(
    output: Screen, asked: Comparison, columns: int, *, each_layer: bool
) -> tuple[dict[str, Any], Verdict]:
    """Do what :func:`execute_schedule` does without a device, as its numbers are emulated."""
    from autosched.numerics.emulation import emulate_network

    with layer_progress(output, "emulate", len(asked.schedule.layers)) as tell:
        execution = emulate_network(
            asked.network, asked.schedule, asked.inputs, columns, lambda layer: tell(layer.name)
        )
    return report_execution(output, None, asked, execution, each_layer=each_layer)


def not_run(asked: Comparison, answer: Rejection) -> str:
    """Return which layer of a schedule did not run, with the device's words."""
    config = asked.schedule.layers.get(answer.layer)
    how = f" ({describe(config)})" if config is not None else ""
    return (
        f"{asked.file}: the {asked.kind} does not run layer {answer.layer}{how}: "
        f"{answer.kind}: {answer.message}"
    )


def _row(schedule: Schedule, layer: ExecutedLayer) -> ExecutedRow:
    config = schedule.layers[layer.name]
    return ExecutedRow(layer.name, describe(config), layer.overall, layer.alone)


def _with_given(
    output: Screen,
    worker: WorkerDevice,
    asked: Comparison,
    execution: Execution,
    rows: Sequence[ExecutedRow],
) -> list[ExecutedRow]:
    """Execute each layer on PyTorch's own input of it, too."""
    by_name = {row.name: row for row in rows}
    network = in_execution_order(asked.network, asked.schedule)
    read = read_layouts(network, asked.schedule, execution.output_layouts)
    truths: dict[str, torch.Tensor] = {}
    waiting = list(asked.inputs)
    with layer_progress(output, "each layer alone", len(rows)) as tell:
        for layer in network:
            tell(layer.name)
            if isinstance(layer.op, Input):
                truths[layer.name] = waiting.pop(0)
            elif not isinstance(layer.op, Output):
                sources = tuple(truths[name] for name in layer.inputs)
                truths[layer.name] = _truth(network, layer, sources)
                if not isinstance(layer.op, Constant):
                    layouts = read.inputs[layer.name]
                    test = LayerTest(
                        _request(network, asked.schedule, layer, layouts),
                        inputs=sources,
                        weights=network.weights.get(layer.name),
                    )
                    by_name[layer.name] = _given(by_name[layer.name], worker.execute_layer(test))
            for name in network.freed_after(layer):
                del truths[name]
    return list(by_name.values())


def _given(row: ExecutedRow, answer: LayerExecution | Rejection) -> ExecutedRow:
    if isinstance(answer, Rejection):
        return row.failed(f"{answer.kind}: {answer.message}")
    return row.given(answer.agreement, varies=answer.varies)


def _truth(network: Network, layer: Layer, sources: "Sequence[torch.Tensor]") -> "torch.Tensor":
    import torch

    from autosched.network.reference import evaluate_layer

    with torch.no_grad():
        return evaluate_layer(layer, sources, network.weights.get(layer.name))


def _request(
    network: Network, schedule: Schedule, layer: Layer, layouts: tuple[TensorLayout, ...]
) -> ProbeRequest:
    shapes = network.input_shapes(layer)
    return ProbeRequest(layer.op, shapes, layer.shape, schedule.layers[layer.name], layouts)


@contextmanager
def layer_progress(output: Screen, phase: str, total: int) -> "Iterator[Any]":
    """Show how many layers are done; the body calls what it is given with each layer's name.

    It may say how many were done before, where it does not tell of each.
    """
    screen = SearchScreen(output.console)
    done = 0

    def tell(name: str, before: int | None = None) -> None:
        nonlocal done
        done = (done if before is None else before) + 1
        screen.begin(phase, f"{done} of {total}, {name}")
        exits.check_interrupt()

    with screen.shown():
        screen.begin(phase, f"{total} layers; kernels are compiled at their first use")
        yield tell
