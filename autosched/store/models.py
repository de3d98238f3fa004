"""The tables, and how a database comes to have those of the current schema.

``db/versions`` holds the migrations that make them; a test compares the two.

Every table starts with ``autosched_``, because Optuna's tables (``studies``, ``trials``,
``alembic_version`` ...) live in the same database.
"""

import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import (
    JSON,
    Connection,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    column,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from autosched.errors import StoreError
from autosched.store.address import PACKAGE, checkout_directory

if TYPE_CHECKING:
    from alembic.config import Config

TABLE_PREFIX = "autosched_"


@dataclass(frozen=True)
class Unreadable:
    """What stands in place of a value that cannot be read, so that its row can be named."""

    why: str


class _Readable(TypeDecorator[Any]):
    """A type of column whose values can always be fetched: :class:`Unreadable` if damaged."""

    __abstract__ = True

    @property
    def python_type(self) -> type[Any]:
        """What a value is that can be read."""
        return self.impl_instance.python_type

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Read a value, or say why that is not possible."""
        process = super().result_processor(dialect, coltype)
        if process is None:
            return None

        def guarded(value: Any) -> Any:
            try:
                return process(value)
            except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                return Unreadable(f"{type(error).__name__}: {error}")

        return guarded


class _Json(_Readable):
    """A JSON object; where a column keeps a list, its reader knows."""

    impl = JSON
    cache_ok = True
    python_type = dict


class _Bytes(_Readable):
    impl = LargeBinary
    cache_ok = True


class UtcDateTime(_Readable):
    """A moment in UTC, with its time zone also on SQLite, which knows none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Convert to UTC."""
        return None if value is None else value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Attach UTC to SQLite's naive values; convert a server's session time zone."""
        if value is None or value.tzinfo is None:
            return None if value is None else value.replace(tzinfo=timezone.utc)
        return value.astimezone(timezone.utc)


class Base(DeclarativeBase):
    """Root of the tables; constraints get the names that migrations refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime(),
        dict[str, Any]: _Json(),
        list[Any]: _Json(),
        bytes: _Bytes(),
        # SQLAlchemy 2.0 and 2.1 differ in what they make of float.
        float: Double(),
    }


class ProbeRow(Base):
    """One configuration of one layer that ran, or was rejected, alone on a device.

    ``outcome`` is a compressed ``Rejection`` where ``rejection`` names its kind, otherwise a
    compressed ``ProbeOutcome``. ``revision`` says which code answered, "" where nobody knows;
    ``firmware`` is a card's, "" of a mock device, and where nobody knows.
    """

    __tablename__ = "autosched_probe"
    __table_args__ = (
        # Loading names the device and the layers, so these columns lead the index.
        UniqueConstraint(
            "board",
            "device_kind",
            "ttnn_version",
            "firmware",
            "layer_signature",
            "config_digest",
            "inputs_digest",
            "revision",
            name="uq_autosched_probe_key",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    board: Mapped[str] = mapped_column(String(64))
    device_kind: Mapped[str] = mapped_column(String(16))
    ttnn_version: Mapped[str] = mapped_column(String(64))
    layer_signature: Mapped[str] = mapped_column(String(255))
    config_digest: Mapped[str] = mapped_column(String(64))
    inputs_digest: Mapped[str] = mapped_column(String(64))
    config: Mapped[dict[str, Any]]
    input_layouts: Mapped[list[Any]]
    rejection: Mapped[str | None] = mapped_column(String(64))
    outcome: Mapped[bytes]
    created_at: Mapped[datetime]
    revision: Mapped[str] = mapped_column(String(64), server_default="")
    firmware: Mapped[str] = mapped_column(String(64), server_default="")


class StudyRow(Base):
    """One search over one network on one device."""

    __tablename__ = "autosched_study"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    network: Mapped[str] = mapped_column(Text)
    network_signature: Mapped[str] = mapped_column(String(64))
    board: Mapped[str] = mapped_column(String(64))
    device_kind: Mapped[str] = mapped_column(String(16))
    ttnn_version: Mapped[str] = mapped_column(String(64))
    batch: Mapped[int]
    settings: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    firmware: Mapped[str] = mapped_column(String(64), server_default="")


class TrialRow(Base):
    """One whole-network run of one schedule; ``schedule`` and ``ops`` are compressed."""

    __tablename__ = "autosched_trial"
    __table_args__ = (UniqueConstraint("study_id", "number", name="uq_autosched_trial_number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("autosched_study.id", ondelete="CASCADE"))
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    sampler: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))
    latency_us: Mapped[float | None]
    latency_kind: Mapped[str | None] = mapped_column(String(16))
    latency_std_us: Mapped[float | None]
    peak_l1_bytes: Mapped[int | None]
    cost_model: Mapped[str] = mapped_column(String(64))
    rejection_kind: Mapped[str | None] = mapped_column(String(64))
    rejection_message: Mapped[str | None] = mapped_column(Text)
    rejection_layer: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime]
    duration_s: Mapped[float]
    # Last, because SQLite reads a row's pages in column order: summaries skip these two.
    schedule: Mapped[bytes]
    ops: Mapped[bytes]


class CalibrationRow(Base):
    """Fitted coefficients of the cost model for one architecture and ttnn version."""

    __tablename__ = "autosched_calibration"
    __table_args__ = (
        UniqueConstraint(
            "arch", "ttnn_version", "name", "fingerprint", name="uq_autosched_calibration_key"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    arch: Mapped[str] = mapped_column(String(64))
    ttnn_version: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64))
    coefficients: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class MeasurementRow(Base):
    """How long one layer or reshard took alone on a card.

    ``outcome`` is a compressed ``Rejection`` where ``rejection`` names its kind, otherwise a
    compressed ``AloneTime``. ``chosen_by`` is the cost model by which the time was worth taking,
    ``revision`` says which code ran it.
    """

    __tablename__ = "autosched_measurement"
    __table_args__ = (
        UniqueConstraint(
            "board",
            "ttnn_version",
            "firmware",
            "layer_signature",
            "config_digest",
            "inputs_digest",
            "revision",
            name="uq_autosched_measurement_key",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    board: Mapped[str] = mapped_column(String(64))
    ttnn_version: Mapped[str] = mapped_column(String(64))
    layer_signature: Mapped[str] = mapped_column(String(255))
    config_digest: Mapped[str] = mapped_column(String(64))
    inputs_digest: Mapped[str] = mapped_column(String(64))
    revision: Mapped[str] = mapped_column(String(64))
    chosen_by: Mapped[str] = mapped_column(String(64))
    rejection: Mapped[str | None] = mapped_column(String(64))
    outcome: Mapped[bytes]
    created_at: Mapped[datetime]
    firmware: Mapped[str] = mapped_column(String(64), server_default="")


class ExecutionRow(Base):
    """What the executed kernels of one layer or reshard computed, alone, beside PyTorch.

    ``kind`` is "simulated" or "executed" (on a card), ``toolchain`` the compiler's key or "card".
    ``pcc`` and ``concordance`` are None where nothing was computed. There is no time.
    """

    __tablename__ = "autosched_execution"
    __table_args__ = (
        UniqueConstraint(
            "arch",
            "ttnn_version",
            "kind",
            "toolchain",
            "layer_signature",
            "config_digest",
            "inputs_digest",
            "revision",
            name="uq_autosched_execution_key",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    arch: Mapped[str] = mapped_column(String(64))
    ttnn_version: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    toolchain: Mapped[str] = mapped_column(String(64))
    layer_signature: Mapped[str] = mapped_column(String(255))
    config_digest: Mapped[str] = mapped_column(String(64))
    inputs_digest: Mapped[str] = mapped_column(String(64))
    revision: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(32))
    pcc: Mapped[float | None]
    concordance: Mapped[float | None]
    message: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class VerificationRow(Base):
    """What a whole schedule computed beside PyTorch, on the network's own weights and inputs.

    It is of a schedule, whichever trials ran it: ``fingerprint`` is the schedule's.
    """

    __tablename__ = "autosched_verification"
    __table_args__ = (
        UniqueConstraint(
            "study_id", "fingerprint", "kind", "toolchain", name="uq_autosched_verification_key"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("autosched_study.id", ondelete="CASCADE"))
    fingerprint: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    toolchain: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(32))
    pcc: Mapped[float | None]
    concordance: Mapped[float | None]
    message: Mapped[str] = mapped_column(Text)
    metric: Mapped[float | None]
    created_at: Mapped[datetime]


class SensitivityRow(Base):
    """What a layer's formats cost the outputs of a network, as PyTorch emulated it.

    ``subject`` identifies the network with its weights and samples, the formats and the emulation.
    """

    __tablename__ = "autosched_sensitivity"
    __table_args__ = (UniqueConstraint("subject", "layer", name="uq_autosched_sensitivity_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(64))
    layer: Mapped[str] = mapped_column(String(255))
    errors: Mapped[bytes]
    created_at: Mapped[datetime]


class NetworkRow(Base):
    """The layers of a network, compressed: what a study is of, without its weights."""

    __tablename__ = "autosched_network"
    __table_args__ = (UniqueConstraint("signature", name="uq_autosched_network_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    signature: Mapped[str] = mapped_column(String(64))
    layers: Mapped[bytes]
    created_at: Mapped[datetime]


class SubmissionRow(Base):
    """One study that was submitted to a service, and what became of it.

    ``options`` are those of the search as JSON, ``owner`` is the service that runs it, ``host`` the
    machine that took it. ``trials_before`` is how many trials its study had when it began,
    ``run_s`` how long its search has run so far; ``result`` is what the search wrote at its end.
    """

    __tablename__ = "autosched_submission"

    id: Mapped[int] = mapped_column(primary_key=True)
    network: Mapped[str] = mapped_column(Text)
    board: Mapped[str] = mapped_column(String(64))
    study: Mapped[str] = mapped_column(String(255))
    options: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16), index=True)
    host: Mapped[str] = mapped_column(String(255))
    owner: Mapped[str | None] = mapped_column(String(255))
    cancel_asked: Mapped[bool]
    trials_before: Mapped[int | None]
    run_s: Mapped[float]
    message: Mapped[str] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


HEAD = "0010"
"""The newest revision in ``db/versions``."""
VERSION_TABLE = "autosched_alembic_version"
OPTUNA_TABLES = frozenset(
    {
        "alembic_version",
        "studies",
        "study_directions",
        "study_system_attributes",
        "study_user_attributes",
        "trial_heartbeats",
        "trial_intermediate_values",
        "trial_params",
        "trial_system_attributes",
        "trial_user_attributes",
        "trial_values",
        "trials",
        "version_info",
    }
)
"""What ``optuna.storages.RDBStorage`` creates."""


def current_revision(connection: Connection) -> str | None:
    """Return the revision that a database is at, or None where autosched has no tables yet."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revisions = table(VERSION_TABLE, column("version_num"))
    revision: str | None = connection.scalar(select(revisions.c.version_num))
    return revision


def refuse_foreign(connection: Connection, place: str) -> None:
    """Refuse a SQLite file that belongs to another program.

    A PostgreSQL database is shared on purpose: who creates it grants the right to add tables.

    Raises:
        StoreError: if there are tables, and neither autosched nor Optuna made them.
    """
    if connection.dialect.name != "sqlite":
        return
    tables = set(inspect(connection).get_table_names())
    foreign = sorted(name for name in tables - OPTUNA_TABLES if not is_own_table(name))
    if foreign and not any(is_own_table(name) for name in tables):
        listed = ", ".join(foreign[:5]) + (", ..." if len(foreign) > 5 else "")
        raise StoreError(
            f"{place} is another program's database (it has the tables {listed}); nothing was "
            "written. Name another file"
        )


def is_own_table(name: str) -> bool:
    """Whether autosched made a table, going by its name."""
    return name.startswith(TABLE_PREFIX)


# Any number that other users of a PostgreSQL server are unlikely to lock.
_UPGRADE_LOCK = 0x6175746F


def upgrade(connection: Connection, place: str) -> None:
    """Bring a database to :data:`HEAD` in the caller's write transaction.

    Raises:
        StoreError: if a newer autosched made it.
    """
    if connection.dialect.name == "postgresql":
        # Two processes that meet an empty database would both create the tables.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    found = current_revision(connection)
    if found == HEAD:
        return
    refuse_newer(found, place)
    # Opening a current database, the usual case, does without Alembic's import time.
    from alembic import command  # noqa: PLC0415

    command.upgrade(alembic_config(connection), HEAD)


def alembic_config(connection: Connection) -> "Config":
    """Return the configuration that runs ``db/env.py`` on an open connection."""
    from alembic.config import Config  # noqa: PLC0415 - as above

    # By default it prints to what standard output was when Alembic was imported.
    config = Config(stdout=sys.stdout)
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def refuse_newer(found: str | None, place: str) -> None:
    """Check that this version knows a database's schema.

    Raises:
        StoreError: if a newer autosched made it.
    """
    # Revisions are numbered, and a released database is never at an unnumbered one.
    if found is not None and not (found.isdigit() and int(found) < int(HEAD)):
        raise StoreError(
            f"{place} was made by a newer autosched (its schema is {found}, this one knows up to "
            f"{HEAD}). Update autosched, or name another database"
        )


def migrations_directory() -> Path:
    """Return the Alembic environment: beside the package in a wheel, ``db/`` in a checkout."""
    return checkout_directory() or PACKAGE / "_db"
