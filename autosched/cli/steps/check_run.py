"""The steps of ``autosched check``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosched.cli import exits
from autosched.cli.steps.execution_run import (
    Comparison,
    emulate_schedule,
    execute_schedule,
)
from autosched.cli.steps.inputs import captured_with_inputs, describe_device, read_schedule
from autosched.cost.model import CostModel
from autosched.cost.model_choice import choose_cost_model
from autosched.device.interface import TimingSettings
from autosched.device.machine import EMULATOR, SIMULATOR, choose_device, ttnn_version
from autosched.device.which_board import named_board
from autosched.device.worker import WorkerDevice
from autosched.errors import ScheduleError
from autosched.evidence.known_faults import known_faults
from autosched.evidence.table import shipped_kinds
from autosched.export.validation import check_layers, check_provenance
from autosched.network.ends import NCHW, with_ends_of
from autosched.network.graph import Network
from autosched.probing.execution_judge import ExecutionJudge
from autosched.probing.probe_book import total_us
from autosched.report import words
from autosched.report.layer_rows import host_rows
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.schedule.configurations import HOST_METHOD, HOST_OUTPUT_METHOD, FixedConfig
from autosched.schedule.outcomes import Rejection, RunOutcome, TimeKind, Verdict
from autosched.schedule.schedule import Schedule
from autosched.store.database import open_store


@dataclass(frozen=True)
class CheckRequest:
    """What to check on what, as the user typed it; None where the schedule's own holds.

    Without ``check`` the captured network is not compared with its module.
    """

    file: str
    net: str
    board: str | None
    device: str
    batch: int | None
    timing: TimingSettings
    storage: str | None = None
    layers: bool = False
    min_pcc: float = 0.99
    safe: bool = False
    check: bool = True


def check_schedule(output: Screen, asked: CheckRequest) -> bool:
    """Run an exported schedule on the device, and print its time and whether it computes right.

    Returns whether it does; True on the mock device, which computes nothing. With the emulator
    nothing runs, and there is no time.

    Raises:
        ScheduleError: if it cannot be read, was made for something else, or the device rejects
            it; the message names the layer, with ttnn's words.
        NetworkFileError, UnsupportedOperatorError: if the network cannot be used.
        BoardError, DeviceError: if the board is unknown, or the device cannot be opened.
    """
    file = asked.file
    schedule = read_schedule(output, file, safe=asked.safe)
    made = schedule.provenance
    board = named_board(made.board if asked.board is None else asked.board)
    named = asked.device in {SIMULATOR, EMULATOR}
    kind = asked.device if named else choose_device(asked.device)
    # What needs no network is refused before the network is captured.
    _check_made_for(schedule, file, made.network_signature, board.name)
    say(output.console, f"Device: {describe_device(kind, board.name, asked.device)}")
    network, inputs = captured_with_inputs(
        output,
        asked.net,
        made.batch if asked.batch is None else asked.batch,
        allow_host=_has_host_layers(schedule),
        check=asked.check,
        io=NCHW,
        pack_images=made.pack_images,
    )
    network = with_ends_of(network, schedule)
    _check_made_for(schedule, file, network.signature, board.name)
    check_layers(schedule, file, network)
    plain: dict[str, Any] = {
        "schedule_path": str(Path(file)),
        "network": network.name,
        "batch": network.batch,
        "board": board.name,
        "device": kind,
        "host_layers": host_rows(network),
    }
    comparison = Comparison(file, network, schedule, inputs, kind, asked.min_pcc)
    if kind == EMULATOR:
        emulation, verdict = emulate_schedule(
            output, comparison, board.grid[0], each_layer=asked.layers
        )
        output.result(plain | emulation)
        return verdict is Verdict.RIGHT
    is_right = True
    with WorkerDevice(board, kind, asked.timing) as worker:
        if kind == SIMULATOR:
            worker.load(network)
        else:
            cost = _cost_model(asked.storage, board.arch, made.cost_model)
            answer = _ran(output, worker, network, schedule)
            plain |= _timed(output, asked, schedule, answer, cost)
            plain["known_faults"] = _warn_of_faults(output, schedule, network, answer, board.arch)
        if kind == "mock":
            plain |= _say_verified(output, schedule, network, answer, board.arch)
        if kind != "mock":
            executed, verdict = execute_schedule(
                output, worker, comparison, each_layer=asked.layers
            )
            is_right = verdict is Verdict.RIGHT
            plain |= executed
    output.result(plain)
    return is_right


def _ran(
    output: Screen, worker: WorkerDevice, network: Network, schedule: Schedule
) -> RunOutcome | Rejection:
    screen = SearchScreen(output.console)
    with screen.shown():
        screen.begin("running", f"{words.count(len(network.layers), 'layer')}, on {worker.kind}")
        worker.load(network)
        answer = worker.run(schedule)
        exits.check_interrupt()
    return answer


def _timed(
    output: Screen,
    asked: CheckRequest,
    schedule: Schedule,
    answer: RunOutcome | Rejection,
    cost: CostModel,
) -> dict[str, Any]:
    """Print the time of a run, and return what ``--json`` says of it."""
    made = schedule.provenance
    if isinstance(answer, Rejection):
        raise ScheduleError(
            f"{asked.file}: the device rejects {words.rejection(answer)}. Correct that layer, or "
            "export the schedule again"
        )
    latency_us, std_us, time_kind = _latency(answer, cost)
    say(output.console, f"{asked.file} runs: {words.latency(latency_us, time_kind, std_us)}")
    if time_kind is TimeKind.ESTIMATED and made.cost_model not in ("", cost.version):
        other = f"the recorded time by {made.cost_model}"
        say(output.console, f"Estimated by cost model {cost.version}, {other}")
    if made.latency_us is not None:
        recorded = words.latency(made.latency_us, made.latency_kind)
        say(output.console, f"Recorded when it was found: {recorded}")
    return {
        "latency_us": latency_us,
        "latency_kind": time_kind,
        "latency_std_us": std_us,
        "recorded_us": made.latency_us,
        "recorded_kind": made.latency_kind,
        "peak_l1_bytes": answer.peak_l1_bytes,
    }


def _warn_of_faults(
    output: Screen,
    schedule: Schedule,
    network: Network,
    answer: RunOutcome | Rejection,
    arch: str,
) -> dict[str, str]:
    """Name the layers that are known to go wrong on a card, and return their faults."""
    ops = () if isinstance(answer, Rejection) else answer.ops
    faults = known_faults(schedule, network, ops, arch, schedule.provenance.ttnn_version)
    for layer, fault in faults.items():
        say(output.console, f"Layer {layer} is known to go wrong: {fault.words}", "red")
    return {layer: fault.name for layer, fault in faults.items()}


def _say_verified(
    output: Screen,
    schedule: Schedule,
    network: Network,
    answer: RunOutcome | Rejection,
    arch: str,
) -> dict[str, Any]:
    """Say whether the kernels of a schedule were executed, or others of their kinds."""
    schedule = schedule.with_own_execution()
    if not schedule.provenance.executed_on and isinstance(answer, RunOutcome):
        ttnn = ttnn_version()
        judge = ExecutionJudge(network, {}, arch, ttnn, kinds=shipped_kinds(arch, ttnn))
        schedule = schedule.with_unexecuted(judge.unexecuted(schedule, answer))
    made = schedule.provenance
    say(output.console, f"Its kernels: {made.verified}")
    return {"verified": made.verified, "unexecuted": made.unexecuted}


def _has_host_layers(schedule: Schedule) -> bool:
    fixed = (item for item in schedule.layers.values() if isinstance(item, FixedConfig))
    return any(item.method in (HOST_METHOD, HOST_OUTPUT_METHOD) for item in fixed)


def _check_made_for(schedule: Schedule, file: str, signature: str, board: str) -> None:
    try:
        check_provenance(schedule, signature, board, ttnn_version())
    except ScheduleError as error:
        raise ScheduleError(f"{file}: {error}") from None


def _cost_model(storage: str | None, arch: str, recorded: str) -> CostModel:
    """Return the shipped model, or the best match of a database that the user names."""
    if storage is None:
        return CostModel.load(arch)
    with open_store(storage) as store:
        return choose_cost_model(store, arch, ttnn_version(), recorded).model


def _latency(outcome: RunOutcome, cost: CostModel) -> tuple[float, float | None, TimeKind]:
    if outcome.latency_us is not None:
        return outcome.latency_us, outcome.latency_std_us, TimeKind.MEASURED
    ops = cost.estimate(outcome.ops)
    latency_us = total_us(ops)
    return latency_us, latency_us * cost.total_std_error(ops), TimeKind.ESTIMATED
