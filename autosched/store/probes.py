"""Probes: what a device said about one configuration of one layer."""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, func, or_, select

from autosched.errors import StoreError
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection
from autosched.schedule.serialization import digest, to_plain
from autosched.schedule.tensors import TensorLayout
from autosched.store import models
from autosched.store.codec import collector_paused, pack, read_plain, unpack
from autosched.store.database import Store, insert_missing
from autosched.store.database_errors import check_row

KEY_COLUMNS = (
    "board",
    "device_kind",
    "ttnn_version",
    "firmware",
    "layer_signature",
    "config_digest",
    "inputs_digest",
    "revision",
)
"""What is unique of a stored probe: each is written once."""

# PostgreSQL takes 65,535 parameters a statement, SQLite 32,766.
_SIGNATURES_PER_SELECT = 1000
_COLUMNS = (
    models.ProbeRow.id,
    models.ProbeRow.layer_signature,
    models.ProbeRow.config_digest,
    models.ProbeRow.inputs_digest,
    models.ProbeRow.revision,
    models.ProbeRow.config,
    models.ProbeRow.input_layouts,
    models.ProbeRow.rejection,
    models.ProbeRow.outcome,
)
_QUESTION = (
    models.ProbeRow.layer_signature,
    models.ProbeRow.config_digest,
    models.ProbeRow.inputs_digest,
)


@dataclass(frozen=True)
class DeviceKey:
    """What must be equal for a probe to be used again: board, kind of device, versions.

    ``device_kind`` is "mock" or "silicon". ``firmware`` is a card's, "" of a mock device, and where
    nobody could tell.
    """

    board: str
    device_kind: str
    ttnn_version: str
    firmware: str = ""

    @property
    def versions(self) -> str:
        """Its versions as one word, such as 0.81.1, or 0.81.1/19.6.0.0 with a card's firmware."""
        return f"{self.ttnn_version}/{self.firmware}" if self.firmware else self.ttnn_version

    def __str__(self) -> str:
        """Return what a person reads: "n150 (mock) with ttnn 0.81.1"."""
        firmware = f" and firmware {self.firmware}" if self.firmware else ""
        return f"{self.board} ({self.device_kind}) with ttnn {self.ttnn_version}{firmware}"


@dataclass(frozen=True)
class ProbeKey:
    """What identifies a probe.

    ``revision`` identifies the code that answered (:mod:`autosched.device.revisions`), "" if it is
    not known. A probe is *stale* where that is not the code of today.
    """

    layer_signature: str
    config_digest: str
    inputs_digest: str
    device: DeviceKey
    revision: str

    @classmethod
    def of(
        cls,
        layer_signature: str,
        config: LayerConfig,
        input_layouts: Sequence[TensorLayout],
        device: DeviceKey,
        revision: str,
    ) -> "ProbeKey":
        """Return the key of a configuration in the layouts its inputs come in."""
        layouts = _digest(tuple(input_layouts))
        return cls(layer_signature, _digest(config), layouts, device, revision)


@functools.lru_cache(maxsize=50_000)
def _digest(words: LayerConfig | tuple[TensorLayout, ...]) -> str:
    # A search asks for the same few thousand configurations and layouts over and over.
    return digest(words)


@dataclass(frozen=True)
class StoredProbe:
    """A probe with its outcome. ``input_layouts`` are those it was given."""

    key: ProbeKey
    config: LayerConfig
    input_layouts: tuple[TensorLayout, ...]
    outcome: ProbeOutcome | Rejection


@dataclass(frozen=True)
class LoadedProbes:
    """The probes that may be used, and how many there are of other revisions and versions.

    ``other_versions`` maps those of ttnn and of a card's firmware, as one word, to a number.
    """

    probes: Mapping[ProbeKey, StoredProbe]
    stale: int
    other_versions: Mapping[str, int] = field(default_factory=dict)


def save_probes(store: Store, probes: Iterable[StoredProbe]) -> None:
    """Keep probes, all or none.

    One whose key is known already is left as it is. What other code answered stays, too: a schedule
    that rests on it can be traced to it.

    Raises:
        StoreError: if the database refuses.
    """
    now = datetime.now(timezone.utc)
    rows = [probe_row(probe, now) for probe in probes]
    if not rows:
        return
    with store.writing() as session:
        insert_missing(session, models.ProbeRow, rows)


def load_probes(
    store: Store,
    layer_signatures: Iterable[str],
    device: DeviceKey,
    revisions: Collection[str],
) -> LoadedProbes:
    """Return the probes of some layers on one device that are of one of the ``revisions``.

    They come in the order in which they were stored. Others, unless they are answered by now, are
    counted, not read: another version may have written them in a form of its own. So are those of
    the same board and kind of device by other versions of ttnn, or of a card's firmware.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    rows: list[Row[Any]] = []
    before: set[tuple[str, str, str]] = set()
    others: dict[str, int] = {}
    signatures = sorted(set(layer_signatures))
    current = models.ProbeRow.revision.in_(revisions)
    with collector_paused():
        with store.reading() as session:
            for start in range(0, len(signatures), _SIGNATURES_PER_SELECT):
                batch = signatures[start : start + _SIGNATURES_PER_SELECT]
                own = _of_device(device, batch)
                rows += session.execute(select(*_COLUMNS).where(*own, current))
                stale = session.execute(select(*_QUESTION).where(*own, ~current))
                before |= {(layer, config, inputs) for layer, config, inputs in stale}
                for ttnn, firmware, number in session.execute(_by_other_versions(device, batch)):
                    other = replace(device, ttnn_version=ttnn, firmware=firmware).versions
                    others[other] = others.get(other, 0) + number
        rows.sort(key=lambda row: int(row.id))
        probes = [_from_row(row, device, store.describe()) for row in rows]
    known = {probe.key: probe for probe in probes}
    answered = {(key.layer_signature, key.config_digest, key.inputs_digest) for key in known}
    return LoadedProbes(known, len(before - answered), others)


def _of_device(device: DeviceKey, signatures: Sequence[str]) -> list[ColumnElement[bool]]:
    table = models.ProbeRow
    return [
        table.board == device.board,
        table.device_kind == device.device_kind,
        table.ttnn_version == device.ttnn_version,
        table.firmware == device.firmware,
        table.layer_signature.in_(signatures),
    ]


def _by_other_versions(device: DeviceKey, signatures: Sequence[str]) -> "Select[str, str, int]":
    table = models.ProbeRow
    return (
        select(table.ttnn_version, table.firmware, func.count())
        .where(
            table.board == device.board,
            table.device_kind == device.device_kind,
            or_(
                table.ttnn_version != device.ttnn_version,
                table.firmware != device.firmware,
            ),
            table.layer_signature.in_(signatures),
        )
        .group_by(table.ttnn_version, table.firmware)
    )


@dataclass(frozen=True)
class AllProbes:
    """All probes of a device, of whatever revision, and how many rows could not be read."""

    probes: tuple[StoredProbe, ...]
    unreadable: int


def all_probes(store: Store, device: DeviceKey) -> AllProbes:
    """Return all probes of a device, stale ones too, as far as this version can read them.

    Raises:
        StoreError: if the database refuses.
    """
    table = models.ProbeRow
    query = select(*_COLUMNS).where(
        table.board == device.board,
        table.device_kind == device.device_kind,
        table.ttnn_version == device.ttnn_version,
        table.firmware == device.firmware,
    )
    with collector_paused(), store.reading() as session:
        rows = session.execute(query.order_by(table.id)).all()
        read = [_readable(row, device, store.describe()) for row in rows]
    found = tuple(probe for probe in read if probe is not None)
    return AllProbes(found, len(read) - len(found))


def stored_devices(store: Store, board: str, device_kind: str) -> list[DeviceKey]:
    """Return the devices of a kind and board of which there are probes, by version.

    Raises:
        StoreError: if the database refuses.
    """
    table = models.ProbeRow
    query = (
        select(table.ttnn_version, table.firmware)
        .where(table.board == board, table.device_kind == device_kind)
        .distinct()
        .order_by(table.ttnn_version, table.firmware)
    )
    with store.reading() as session:
        return [DeviceKey(board, device_kind, *found) for found in session.execute(query)]


def device_with_probes(store: Store, today: DeviceKey) -> DeviceKey:
    """Return today's device, with the firmware of its probes where all are of one.

    So probes of a card can be looked at on a machine without one.

    Raises:
        StoreError: if the database refuses.
    """
    stored = stored_devices(store, today.board, today.device_kind)
    alike = [key for key in stored if key.ttnn_version == today.ttnn_version]
    return alike[0] if len(alike) == 1 else today


def delete_probes(store: Store, keys: Iterable[ProbeKey]) -> None:
    """Forget some probes, all or none of them.

    Raises:
        StoreError: if the database refuses.
    """
    with store.writing() as session:
        for key in keys:
            session.execute(
                delete(models.ProbeRow).where(
                    models.ProbeRow.board == key.device.board,
                    models.ProbeRow.device_kind == key.device.device_kind,
                    models.ProbeRow.ttnn_version == key.device.ttnn_version,
                    models.ProbeRow.firmware == key.device.firmware,
                    models.ProbeRow.layer_signature == key.layer_signature,
                    models.ProbeRow.config_digest == key.config_digest,
                    models.ProbeRow.inputs_digest == key.inputs_digest,
                    models.ProbeRow.revision == key.revision,
                )
            )


def purge_stale(store: Store, revisions: Collection[str]) -> int:
    """Delete every probe that is of none of the ``revisions``; return how many there were.

    Raises:
        StoreError: if the database refuses.
    """
    with store.connection("BEGIN IMMEDIATE") as connection:
        stale = models.ProbeRow.revision.not_in(revisions)
        return connection.execute(delete(models.ProbeRow).where(stale)).rowcount


def probe_row(probe: StoredProbe, now: datetime) -> dict[str, Any]:
    """Return the columns of a probe, stored at a moment."""
    key, outcome = probe.key, probe.outcome
    return {
        **vars(key.device),
        "layer_signature": key.layer_signature,
        "config_digest": key.config_digest,
        "inputs_digest": key.inputs_digest,
        "config": to_plain(probe.config),
        "input_layouts": to_plain(probe.input_layouts),
        "rejection": outcome.kind.value if isinstance(outcome, Rejection) else None,
        "outcome": pack(outcome),
        "created_at": now,
        "revision": key.revision,
    }


def _readable(row: Row[Any], device: DeviceKey, place: str) -> StoredProbe | None:
    try:
        return _from_row(row, device, place)
    except StoreError:
        return None


def _from_row(row: Row[Any], device: DeviceKey, place: str) -> StoredProbe:
    check_row(models.ProbeRow, row._mapping, place)
    where = f"{place}: autosched_probe {row.id}"
    target = ProbeOutcome if row.rejection is None else Rejection
    return StoredProbe(
        ProbeKey(row.layer_signature, row.config_digest, row.inputs_digest, device, row.revision),
        read_plain(LayerConfig, row.config, where),
        read_plain(tuple[TensorLayout, ...], row.input_layouts, where),
        unpack(target, row.outcome, where),
    )
