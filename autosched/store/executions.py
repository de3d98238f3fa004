"""Executions: what a layer, a reshard or a whole schedule computed beside PyTorch.

And what formats cost, layer by layer, as that was emulated.

No time is kept with them: the simulator has none, and a card's latency is a trial's.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select

from autosched.schedule.outcomes import Verdict
from autosched.schedule.schedule import Schedule
from autosched.store import models
from autosched.store.database import Store, insert_missing, insert_or_replace
from autosched.store.database_errors import check_entity
from autosched.store.studies import StudyRecord

SIMULATED = "simulated"
EXECUTED = "executed"
EMULATED = "emulated"
CARD = "card"
"""What stands for a toolchain where a card executed, before the version of its firmware."""
EMULATION_REVISION = 7
"""Of what emulates, and of what errors of formats are: raised where they come to other values.

What an earlier revision said of a schedule is no claim any more. It stands for a toolchain where a
schedule was emulated.
"""

_SITES = {SIMULATED: "simulator", EXECUTED: "card"}

ExecutedConfig = tuple[str, str, str]
"""A layer's signature (or a reshard's), and the digests of its configuration and layouts."""

EXECUTION_KEY = (
    "arch",
    "ttnn_version",
    "kind",
    "toolchain",
    "layer_signature",
    "config_digest",
    "inputs_digest",
    "revision",
)
"""What is unique of a stored execution."""
_VERIFICATION_KEY = ("study_id", "fingerprint", "kind", "toolchain")


@dataclass(frozen=True)
class ExecutionSite:
    """Where kernels were executed: architecture, ttnn, on what (``kind``), and their compiler."""

    arch: str
    ttnn_version: str
    kind: str
    toolchain: str


@dataclass(frozen=True)
class ExecutionKey:
    """What identifies an execution; ``revision`` is that of the code which ran and compared it."""

    layer_signature: str
    config_digest: str
    inputs_digest: str
    revision: str
    site: ExecutionSite

    @property
    def config(self) -> ExecutedConfig:
        """What was executed, wherever that was."""
        return self.layer_signature, self.config_digest, self.inputs_digest


@dataclass(frozen=True)
class ExecutionRecord:
    """What an execution came to; ``message`` has the device's words, or where it differs.

    ``metric`` is the user's own figure of a whole schedule's outputs.
    """

    verdict: Verdict
    pcc: float | None = None
    concordance: float | None = None
    message: str = ""
    metric: float | None = None


@dataclass(frozen=True)
class Verification:
    """What a whole schedule came to, by its fingerprint."""

    fingerprint: str
    kind: str
    toolchain: str
    result: ExecutionRecord


def save_execution(store: Store, key: ExecutionKey, result: ExecutionRecord) -> None:
    """Keep an execution; one of the same key with another verdict is replaced.

    Raises:
        StoreError: if the database refuses.
    """
    row = {
        **vars(key.site),
        "layer_signature": key.layer_signature,
        "config_digest": key.config_digest,
        "inputs_digest": key.inputs_digest,
        "revision": key.revision,
        **_values(result),
    }
    with store.writing() as session:
        insert_or_replace(
            session, models.ExecutionRow, [row], key=EXECUTION_KEY, unless_equal="verdict"
        )


def find_executions(
    store: Store, site: ExecutionSite, revisions: Collection[str]
) -> Mapping[ExecutionKey, ExecutionRecord]:
    """Return what is known of one place, of some revisions.

    Raises:
        StoreError: if the database refuses.
    """
    row = models.ExecutionRow
    query = select(row).where(
        row.arch == site.arch,
        row.ttnn_version == site.ttnn_version,
        row.kind == site.kind,
        row.toolchain == site.toolchain,
        row.revision.in_(revisions),
    )
    with store.reading() as session:
        place = store.describe()
        return {_key(found, site): _result(found, place) for found in session.scalars(query)}


def find_verdicts(
    store: Store,
    arch: str,
    ttnn_version: str,
    revisions: Collection[str],
    verdicts: Iterable[Verdict],
) -> Mapping[ExecutedConfig, tuple[str, ExecutionRecord]]:
    """Return what has one of some ``verdicts``, with its kind, whatever compiled its kernels.

    Raises:
        StoreError: if the database refuses.
    """
    row = models.ExecutionRow
    query = (
        select(row)
        .where(
            row.arch == arch,
            row.ttnn_version == ttnn_version,
            row.revision.in_(revisions),
            row.verdict.in_([verdict.value for verdict in verdicts]),
        )
        .order_by(row.id)
    )
    with store.reading() as session:
        return {
            (found.layer_signature, found.config_digest, found.inputs_digest): (
                found.kind,
                _result(found, store.describe()),
            )
            for found in session.scalars(query)
        }


def purge_executions(store: Store, revisions: Collection[str]) -> int:
    """Delete every execution that is of none of the ``revisions``; return how many there were.

    Raises:
        StoreError: if the database refuses.
    """
    with store.connection("BEGIN IMMEDIATE") as connection:
        stale = models.ExecutionRow.revision.not_in(revisions)
        return connection.execute(delete(models.ExecutionRow).where(stale)).rowcount


def save_verification(store: Store, study: StudyRecord, found: Verification) -> None:
    """Keep what a schedule of a study came to, in place of what it came to before.

    Raises:
        StoreError: if the database refuses.
    """
    key = {
        "study_id": study.id,
        "fingerprint": found.fingerprint,
        "kind": found.kind,
        "toolchain": found.toolchain,
    }
    with store.writing() as session:
        insert_or_replace(
            session,
            models.VerificationRow,
            [{**key, **_values(found.result), "metric": found.result.metric}],
            key=_VERIFICATION_KEY,
            unless_equal="created_at",
        )


def find_verification(
    store: Store, study: StudyRecord, fingerprint: str, *, emulated: bool = False
) -> Verification | None:
    """Return what a schedule of a study came to: on a card if it was there, else the newest.

    That is where it was executed, or what its emulation came to, by today's code.

    Raises:
        StoreError: if the database refuses.
    """
    row = models.VerificationRow
    query = (
        select(row)
        .where(row.study_id == study.id, row.fingerprint == fingerprint)
        .where(_is_emulation() if emulated else row.kind != EMULATED)
        .order_by(row.kind == EXECUTED, row.created_at)
    )
    with store.reading() as session:
        rows = list(session.scalars(query))
        if not rows:
            return None
        newest = rows[-1]
        result = replace(_result(newest, store.describe()), metric=newest.metric)
        return Verification(fingerprint, newest.kind, newest.toolchain, result)


def find_emulations(store: Store, study: StudyRecord) -> dict[str, ExecutionRecord]:
    """Return what the emulations of a study's schedules by today's code came to, by fingerprint.

    Raises:
        StoreError: if the database refuses.
    """
    row = models.VerificationRow
    query = select(row).where(row.study_id == study.id, _is_emulation())
    with store.reading() as session:
        place = store.describe()
        return {
            found.fingerprint: replace(_result(found, place), metric=found.metric)
            for found in session.scalars(query)
        }


def emulation_record(fingerprint: str, result: ExecutionRecord) -> Verification:
    """Return what today's emulation of a schedule came to, to be kept."""
    return Verification(fingerprint, EMULATED, str(EMULATION_REVISION), result)


def _is_emulation() -> ColumnElement[bool]:
    row = models.VerificationRow
    return and_(row.kind == EMULATED, row.toolchain == str(EMULATION_REVISION))


def with_verification(store: Store, study: StudyRecord, schedule: Schedule) -> Schedule:
    """Return a study's schedule whose provenance says what came of executing it, if it was.

    Raises:
        StoreError: if the database refuses.
    """
    fingerprint = schedule.fingerprint()
    made = replace(
        schedule.provenance,
        min_pcc=study.settings.get("min_pcc"),
        min_metric=study.settings.get("min_metric"),
    )
    emulated = find_verification(store, study, fingerprint, emulated=True)
    if emulated is not None:
        made = replace(
            made,
            emulated_pcc=emulated.result.pcc,
            emulated_concordance=emulated.result.concordance,
            emulated_metric=emulated.result.metric,
            executed_fingerprint=fingerprint,
        )
    executed = find_verification(store, study, fingerprint)
    if executed is not None:
        made = replace(
            made,
            executed_on=_SITES[executed.kind],
            executed_verdict=executed.result.verdict.value,
            executed_pcc=executed.result.pcc,
            executed_fingerprint=fingerprint,
        )
    return replace(schedule, provenance=made)


def save_sensitivity(store: Store, subject: str, layer: str, errors: bytes) -> None:
    """Keep what a layer's formats cost; what is known already stays.

    Raises:
        StoreError: if the database refuses.
    """
    row = {
        "subject": subject,
        "layer": layer,
        "errors": errors,
        "created_at": datetime.now(timezone.utc),
    }
    with store.writing() as session:
        insert_missing(session, models.SensitivityRow, [row])


def find_sensitivities(store: Store, subject: str) -> dict[str, bytes]:
    """Return what is known of a network's layers, by name.

    Raises:
        StoreError: if the database refuses.
    """
    query = select(models.SensitivityRow).where(models.SensitivityRow.subject == subject)
    with store.reading() as session:
        rows = list(session.scalars(query))
        for row in rows:
            check_entity(row, store.describe())
        return {row.layer: row.errors for row in rows}


def _key(row: models.ExecutionRow, site: ExecutionSite) -> ExecutionKey:
    return ExecutionKey(
        row.layer_signature, row.config_digest, row.inputs_digest, row.revision, site
    )


def _values(result: ExecutionRecord) -> dict[str, Any]:
    return {
        "verdict": result.verdict.value,
        "pcc": result.pcc,
        "concordance": result.concordance,
        "message": result.message,
        "created_at": datetime.now(timezone.utc),
    }


def _result(row: models.ExecutionRow | models.VerificationRow, place: str) -> ExecutionRecord:
    check_entity(row, place)
    return ExecutionRecord(Verdict(row.verdict), row.pcc, row.concordance, row.message)
