"""Programs that other people run: a script for a bug report, or a schedule for their own code.

They are the steps of ``autosched verify --reproduce``, and of ``export`` but for what is read back.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from autosched.cli.steps.execution_run import layer_progress
from autosched.cli.steps.inputs import captured_of_study, network_file_of
from autosched.cli.steps.verify_run import (
    Subject,
    VerifyRequest,
    own_steps,
    row_of,
    site_of,
    study_subject,
)
from autosched.device.interface import LayerTest
from autosched.device.machine import ttnn_version
from autosched.device.revisions import current_revisions
from autosched.device.worker import WorkerDevice
from autosched.errors import ScheduleError, StudyError
from autosched.export.model_module import render_model
from autosched.export.saving import save_text, weights_file
from autosched.export.tt_mlir import render_overrides
from autosched.network.ends import with_ends_of
from autosched.report import words
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.reproduction.model_recorder import recorded_model
from autosched.reproduction.recorder import script_of
from autosched.reproduction.script import Finding, is_script
from autosched.schedule.schedule import Schedule
from autosched.search.settings import Settings
from autosched.store.database import Store, open_writable
from autosched.store.probes import load_probes
from autosched.store.studies import StudyRecord
from autosched.verification.verifier import ExecutionStep, StepVerdict, Verifier, stored_steps


def write_reproduction(
    output: Screen, asked: VerifyRequest, place: str, file: str | None
) -> StepVerdict:
    """Write a script that shows what a layer or edge of a study computes; return the verdict.

    Of a layer, the best schedule's configuration, or another stored one that something is known
    against. One that was not executed yet is executed first.

    Raises:
        StudyError: if the study's best schedule has no such layer or edge.
        ScheduleError: if the file cannot be written.
        DeviceError: if a call of the layer cannot be written as Python.
    """
    target = _checked_target(file)
    with open_writable(asked.storage) as store:
        subject = study_subject(output, store, asked)
        steps = [step for step in own_steps(subject) if place in step.places]
        if not steps:
            raise StudyError(
                f"trial {subject.trial} of study {asked.study!r} executes no layer or reshard "
                f"{place!r}; name one that autosched verify {asked.study} shows"
            )
        with closing(WorkerDevice(subject.board, asked.kind)) as worker:
            verifier = Verifier(
                store, site_of(asked.kind, subject.board), worker, asked.min_concordance
            )
            found = _chosen(output, verifier, steps, _stored(store, subject, place))
    finding = _finding(found, subject, asked.kind)
    source = script_of(subject.board, LayerTest(found.step.request), finding)
    _write(target, source)
    say(output.console, f"{place}: {found.result.verdict}; script: {target}")
    output.result(
        {"study": asked.study, "script": str(target), "verdict": row_of(found).to_plain()}
    )
    return found


@dataclass(frozen=True)
class OthersRequest:
    """A schedule for others' code: its format, where to, and the network file that it is of."""

    form: str
    target: Path
    net: str | None
    safe: bool
    check: bool
    force: bool


def save_for_others(
    output: Screen, record: StudyRecord, schedule: Schedule, asked: OthersRequest
) -> None:
    """Write what a schedule is in others' code.

    Raises:
        StudyError, NetworkFileError: if its network cannot be had, where that is wanted.
        ScheduleError: if it cannot be expressed, or the file not be written.
        DeviceError: if the mock device fails.
    """
    if asked.form == "tt-mlir":
        save_text(render_overrides(schedule), asked.target, force=asked.force)
        return
    settings = Settings.from_plain(record.settings)
    net = network_file_of(record, settings, asked.net, safe=asked.safe)
    network, _ = captured_of_study(output, record, net, check=asked.check)
    network = with_ends_of(network, schedule)
    screen = SearchScreen(output.console)
    with screen.shown():
        screen.begin("record", f"the calls of {len(network.layers)} layers, on the mock device")
        recorded, weights = recorded_model(network, schedule)
    source = render_model(
        recorded, schedule.provenance, weights_file(asked.target).name, asked.form
    )
    save_text(source, asked.target, force=asked.force, weights=weights)


def _chosen(
    output: Screen,
    verifier: Verifier,
    steps: Sequence[ExecutionStep],
    others: Sequence[ExecutionStep],
) -> StepVerdict:
    known = [item for item in map(verifier.known, [*steps, *others]) if item is not None]
    against = next((item for item in known if item.speaks_against), None)
    if against is not None:
        return against
    with layer_progress(output, "execute alone", 1) as tell:
        return next(verifier.verdicts(steps, lambda step: tell(step.places[0])))


def _stored(store: Store, subject: Subject, place: str) -> list[ExecutionStep]:
    """Return what is stored of a layer; nothing of an edge."""
    layer = subject.network.by_name.get(place)
    if layer is None:
        return []
    record = subject.record
    signature = subject.network.layer_signature(layer)
    probes = load_probes(store, [signature], record.device, current_revisions()).probes.values()
    return stored_steps(subject.network, layer, probes)


def _finding(found: StepVerdict, subject: Subject, kind: str) -> Finding:
    row = row_of(found)
    operator = getattr(found.step.request, "op", None)
    what = "A change of layout" if operator is None else type(operator).__name__
    seen = row.verdict.value
    if row.concordance is not None:
        seen += f", concordance {row.concordance:.4f}, PCC {row.pcc:.4f}"
    elif row.message:
        seen += f": {' '.join(row.message.split())}"
    board = subject.board
    return Finding(
        title=f"{what}: {row.configuration}",
        where=f"ttnn {ttnn_version()}, {board.arch} ({board.name}), {words.executed(kind)}",
        seen=seen,
    )


def _checked_target(file: str | None) -> Path:
    if file is None:
        raise ScheduleError("--reproduce writes a script; name its file with -o FILE.py")
    target = Path(file)
    if target.suffix != ".py" or not target.parent.is_dir():
        raise ScheduleError(f"{target}: name a .py file in a directory that is there")
    if target.exists() and not is_script(target):
        raise ScheduleError(
            f"{target}: this file is there and is no such script; name another, or remove it"
        )
    return target


def _write(target: Path, source: str) -> None:
    try:
        target.write_text(source, encoding="utf-8")
    except OSError as error:
        raise ScheduleError(
            f"{target}: cannot be written: {error.strerror}. Name another place with -o."
        ) from None
