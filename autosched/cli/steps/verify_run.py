"""The steps of ``autosched verify``."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autosched.boards import Board, find_board
from autosched.cli import hints
from autosched.cli.steps.execution_run import (
    Comparison,
    executed_network,
    layer_progress,
    not_run,
    report_execution,
)
from autosched.cli.steps.inputs import captured_of_study, describe_device, network_file_of
from autosched.device.interface import ProbeRequest
from autosched.device.machine import SIMULATOR, card_firmware, ttnn_version
from autosched.device.pool import open_pool
from autosched.device.simulator.environment import (
    check_simulates,
    installed_toolchain,
    simulator_library,
)
from autosched.device.worker import WorkerDevice
from autosched.errors import StudyError
from autosched.network.graph import Network
from autosched.report import words
from autosched.report.execution_table import VerdictRow, print_verdicts, tally_of
from autosched.report.layer_rows import describe, describe_change
from autosched.report.output import Screen, say
from autosched.report.summary import print_next
from autosched.report.verification_table import VerifiedSchedule, add_verified, check_page
from autosched.schedule.outcomes import AGAINST, Rejection, RunOutcome, Verdict, verdict_of
from autosched.schedule.schedule import Schedule
from autosched.search.open_study import open_study
from autosched.search.settings import Settings
from autosched.store.database import Store, open_writable
from autosched.store.executions import (
    CARD,
    EXECUTED,
    SIMULATED,
    ExecutionRecord,
    ExecutionSite,
    Verification,
    save_verification,
)
from autosched.store.studies import StudyRecord, get_study
from autosched.store.trials import finished_trial
from autosched.verification.verifier import (
    ExecutionStep,
    StepVerdict,
    Verifier,
    candidate_steps,
    distinct_steps,
    schedule_steps,
)

if TYPE_CHECKING:
    import torch

# A whole schedule with such a step does not come to its end either.
_ENDS_THE_RUN = (
    Verdict.HANG,
    Verdict.ABORT,
    Verdict.DOES_NOT_COMPILE,
    Verdict.NOT_SIMULATED,
    Verdict.REJECTED,
)
_RAN = (Verdict.RIGHT, Verdict.IMPRECISE)


@dataclass(frozen=True)
class VerifyRequest:
    """What to verify on what, as the user typed it; ``kind`` is "simulator" or "silicon".

    Without ``check`` the captured network is not compared with its module. ``hang_limit_s`` is how
    long one execution may take; with ``again`` what is stored as wrong or hung is executed again.
    """

    study: str
    kind: str
    candidates: int = 0
    min_concordance: float = 0.99
    storage: str | None = None
    jobs: int | None = None
    table: str | None = None
    net: str | None = None
    safe: bool = False
    check: bool = True
    hang_limit_s: float | None = None
    again: bool = False


@dataclass(frozen=True)
class Subject:
    """A study's best schedule with all that it takes to execute it."""

    record: StudyRecord
    board: Board
    network: Network
    inputs: "Sequence[torch.Tensor]"
    trial: int
    schedule: Schedule


def verify_study(output: Screen, asked: VerifyRequest) -> bool:
    """Execute a study's layers and reshards alone, then its best schedule, and print verdicts.

    Returns whether nothing speaks against what was executed.

    Raises:
        StudyError: if there is no such study, nothing of it has run, or it has no network file.
        DeviceError, BoardError: if a device is missing, or of another board.
        StoreError: if the database refuses.
    """
    began = time.monotonic()
    if asked.table is not None:
        check_page(Path(asked.table))
    with open_writable(asked.storage) as store:
        subject = study_subject(output, store, asked)
        site = site_of(asked.kind, subject.board)
        own = own_steps(subject)
        steps = with_candidates(output, store, asked, subject, own)
        device = WorkerDevice(subject.board, asked.kind, deadline_s=asked.hang_limit_s)
        with closing(device) as worker:
            verifier = Verifier(store, site, worker, asked.min_concordance, again=asked.again)
            found = _verdicts(output, verifier, steps)
            rows = [row_of(item) for item in found]
            print_verdicts(output.console, rows, asked.kind)
            say(output.console, f"{words.count(len(rows), 'configuration')}: {tally_of(rows)}")
            configs = {step.config for step in own}
            mine = [item for item in found if item.step.config in configs]
            ended = [item for item in mine if item.result.verdict in _ENDS_THE_RUN]
            whole = None if _said(output, ended) else _whole(output, asked, subject, worker)
        if whole is not None:
            whole = _with_layers(whole[0], mine), whole[1]
            fingerprint = subject.schedule.fingerprint()
            kept = Verification(fingerprint, site.kind, site.toolchain, whole[0])
            if whole[0].verdict is Verdict.LOST:
                whole = None  # the machine's failure, and no word about the schedule
            else:
                save_verification(store, subject.record, kept)
        stands = not any(item.speaks_against for item in found)
        if whole is not None:
            stands = stands and whole[0].verdict not in AGAINST
        wrong = next((item.step.places[0] for item in found if item.speaks_against), "")
        print_next(
            output.console, hints.after_verifying(asked.study, asked.storage, wrong, stands=stands)
        )
    if asked.table is not None:
        own_rows = [row_of(item) for item in mine]
        made = _verified(subject, site, own_rows, whole, time.monotonic() - began)
        add_verified(Path(asked.table), made)
        say(output.console, f"Written: {asked.table}")
    output.result(
        {
            "study": asked.study,
            "trial": subject.trial,
            "executed": words.executed(asked.kind),
            "toolchain": site.toolchain,
            "stands": stands,
            "verdicts": [row.to_plain() for row in rows],
            "whole": None if whole is None else {**whole[1], "verdict": whole[0].verdict.value},
        }
    )
    return stands


def _with_layers(whole: ExecutionRecord, alone: Sequence[StepVerdict]) -> ExecutionRecord:
    """Return what a whole schedule came to: outputs may hide a layer that is wrong alone."""
    if whole.verdict in _RAN and any(item.speaks_against for item in alone):
        return replace(whole, verdict=Verdict.WRONG)
    return whole


def _verified(
    subject: Subject,
    site: ExecutionSite,
    rows: Sequence[VerdictRow],
    whole: tuple[ExecutionRecord, dict[str, Any]] | None,
    wall_s: float,
) -> VerifiedSchedule:
    """Return the row of a page; ``rows`` are those of the schedule's own steps."""
    made = subject.schedule.provenance
    outputs = {} if whole is None else whole[1].get("outputs", {})
    agreed = [found["top1"] for found in outputs.values() if found["top1"] is not None]
    return VerifiedSchedule(
        made.network,
        made.batch,
        made.board,
        _formats(Settings.from_plain(subject.record.settings)),
        words.latency(made.latency_us, made.latency_kind),
        None if whole is None else whole[0].verdict,
        None if whole is None else whole[0].pcc,
        min(agreed) if agreed else None,
        rows,
        wall_s,
        f"{site.kind}, ttnn {site.ttnn_version}, autosched {version('autosched')}",
    )


def _formats(settings: Settings) -> str:
    """Return the formats of most layers; where each has its own, the floor that they keep."""
    if not settings.search_formats:
        return settings.formats.inside
    floors = {"PCC": settings.min_pcc, "metric": settings.min_metric}
    kept = (f"{name} at least {floor:g}" for name, floor in floors.items() if floor is not None)
    return f"each layer's own, {', '.join(kept)}"


def study_subject(output: Screen, store: Store, asked: VerifyRequest) -> Subject:
    """Return a study's best schedule and its captured network, and say what will be executed.

    Raises:
        StudyError: as :func:`verify_study`.
    """
    record = get_study(store, asked.study)
    settings = Settings.from_plain(record.settings)
    if record.ttnn_version != ttnn_version():
        raise StudyError(
            f"study {record.name!r} was made with ttnn {record.ttnn_version}, and ttnn "
            f"{ttnn_version()} is installed; install that one, or search again"
        )
    net = network_file_of(record, settings, asked.net, safe=asked.safe)
    board = find_board(record.board)
    check_can_execute(asked.kind, board)
    trial, schedule = finished_trial(store, record)
    assert trial.number is not None  # noqa: S101 - it is stored
    say(output.console, f"Device: {describe_device(asked.kind, record.board, asked.kind)}")
    say(output.console, f"Database: {store.describe()}")
    network, inputs = captured_of_study(output, record, net, check=asked.check)
    return Subject(record, board, network, inputs, trial.number, schedule)


def check_can_execute(kind: str, board: Board) -> None:
    """Refuse what no worker could be started for, before the network is captured.

    Raises:
        DeviceError: if the simulator or its compiler is missing.
        BoardError: if the simulator is of another architecture.
    """
    if kind == SIMULATOR:
        check_simulates(simulator_library(), board)
        installed_toolchain()


def site_of(kind: str, board: Board) -> ExecutionSite:
    """Return where kernels are executed on this machine."""
    if kind == SIMULATOR:
        return ExecutionSite(board.arch, ttnn_version(), SIMULATED, installed_toolchain().key)
    card = f"{CARD} {card_firmware()}".rstrip()
    return ExecutionSite(board.arch, ttnn_version(), EXECUTED, card)


def own_steps(subject: Subject) -> list[ExecutionStep]:
    """Return the distinct steps of the best schedule, in the layouts that the mock device leaves.

    Raises:
        StudyError: if it does not run there any more.
    """
    with WorkerDevice(subject.board, "mock") as mock:
        mock.load(subject.network)
        outcome = mock.run(subject.schedule)
    if not isinstance(outcome, RunOutcome):
        raise StudyError(
            f"trial {subject.trial} of study {subject.record.name!r} does not run on the mock "
            f"device any more: {words.rejection(outcome)}; go on with autosched resume"
        )
    return schedule_steps(subject.network, subject.schedule, outcome.output_layouts)


def with_candidates(
    output: Screen,
    store: Store,
    asked: VerifyRequest,
    subject: Subject,
    own: Sequence[ExecutionStep],
) -> list[ExecutionStep]:
    """Return the steps with those of so many candidates a layer, and say how many they are."""
    steps = list(own)
    if asked.candidates:
        steps = distinct_steps([*steps, *_candidates(store, asked, subject)])
    say(
        output.console,
        f"To execute: {words.count(len(steps), 'distinct configuration')} of trial "
        f"{subject.trial}" + (f" and {asked.candidates} a layer" if asked.candidates else ""),
    )
    return steps


def _candidates(store: Store, asked: VerifyRequest, subject: Subject) -> list[ExecutionStep]:
    """Return the fastest candidates of the study's tables, those known to be wrong included."""
    record = subject.record
    settings = Settings.from_plain(record.settings)
    with (
        open_pool(subject.board, record.device_kind, settings.timing, asked.jobs) as pool,
        open_study(store, subject.network, record.board, settings, record.name, pool) as study,
    ):
        study.ignore_known_wrong()
        return candidate_steps(study.prepare(), asked.candidates)


def _verdicts(
    output: Screen, verifier: Verifier, steps: Sequence[ExecutionStep]
) -> list[StepVerdict]:
    found: list[StepVerdict] = []
    with layer_progress(output, "execute alone", len(steps)) as tell:
        for item in verifier.verdicts(steps, lambda step: tell(step.places[0], len(found))):
            found.append(item)
            if not item.is_stored and not output.console.is_interactive:
                row = row_of(item)
                say(output.console, f"{row.place}: {row.verdict}")
    return found


def row_of(item: StepVerdict) -> VerdictRow:
    """Return a verdict as a row of its table."""
    request, result = item.step.request, item.result
    configuration = (
        describe(request.config)
        if isinstance(request, ProbeRequest)
        else describe_change(request.source, request.target)
    )
    return VerdictRow(
        item.step.places,
        configuration,
        result.verdict,
        result.pcc,
        result.concordance,
        result.message,
        item.is_stored,
    )


def _said(output: Screen, ended: Sequence[StepVerdict]) -> bool:
    """Say why a whole schedule need not be executed, if a step of it does not run; return that."""
    for item in ended[:1]:
        say(
            output.console,
            f"The whole schedule is not executed: {item.step.places[0]} does not run "
            f"({item.result.verdict})",
            "yellow",
        )
    return bool(ended)


def _whole(
    output: Screen, asked: VerifyRequest, subject: Subject, worker: WorkerDevice
) -> tuple[ExecutionRecord, dict[str, Any]]:
    """Execute the whole schedule, and return what came of it, for the store and as JSON types."""
    name = f"trial {subject.trial} of {subject.record.name}"
    comparison = Comparison(
        name, subject.network, subject.schedule, subject.inputs, asked.kind, asked.min_concordance
    )
    worker.load(subject.network)
    answer = executed_network(output, worker, comparison)
    if isinstance(answer, Rejection):
        say(output.console, not_run(comparison, answer), "red")
        result = ExecutionRecord(verdict_of(answer, asked.min_concordance), message=answer.message)
        return result, {"verdict": result.verdict.value, "message": result.message}
    plain, verdict = report_execution(output, worker, comparison, answer, each_layer=False)
    worst = min(answer.outputs.values(), key=lambda found: found.pcc)
    result = ExecutionRecord(verdict, worst.pcc, worst.concordance)
    return result, plain
