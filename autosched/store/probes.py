"""Probes: what a device said about one configuration of one layer."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Row, select

from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import ProbeOutcome, Rejection
from autosched.schedule.serialization import digest, to_plain
from autosched.schedule.tensors import TensorLayout
from autosched.store import models
from autosched.store.codec import collector_paused, pack, read_plain, unpack
from autosched.store.database import Store, insert_missing

# PostgreSQL takes 65,535 parameters a statement, SQLite 32,766.
_SIGNATURES_PER_SELECT = 1000
_COLUMNS = (
    models.ProbeRow.id,
    models.ProbeRow.layer_signature,
    models.ProbeRow.config_digest,
    models.ProbeRow.inputs_digest,
    models.ProbeRow.config,
    models.ProbeRow.input_layouts,
    models.ProbeRow.rejection,
    models.ProbeRow.outcome,
)


@dataclass(frozen=True)
class DeviceKey:
    """What must be equal for a probe to be used again: board, kind of device, ttnn version.

    ``device_kind`` is "mock" or "silicon".
    """

    board: str
    device_kind: str
    ttnn_version: str


@dataclass(frozen=True)
class ProbeKey:
    """What identifies a probe."""

    layer_signature: str
    config_digest: str
    inputs_digest: str
    device: DeviceKey

    @classmethod
    def of(
        cls,
        layer_signature: str,
        config: LayerConfig,
        input_layouts: Sequence[TensorLayout],
        device: DeviceKey,
    ) -> "ProbeKey":
        """Return the key of a configuration in the layouts its inputs come in."""
        return cls(layer_signature, _digest(config), _digest(tuple(input_layouts)), device)


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


def save_probes(store: Store, probes: Iterable[StoredProbe]) -> None:
    """Keep probes, all or none; one whose key is known already is left as it is.

    Raises:
        StoreError: if the database refuses.
    """
    now = datetime.now(timezone.utc)
    rows = [_to_row(probe, now) for probe in probes]
    if not rows:
        return
    with store.writing() as session:
        insert_missing(session, models.ProbeRow, rows)


def load_probes(
    store: Store, layer_signatures: Iterable[str], device: DeviceKey
) -> dict[ProbeKey, StoredProbe]:
    """Return every probe of some layers on one device, in the order they were stored.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    rows: list[Row[Any]] = []
    signatures = sorted(set(layer_signatures))
    with collector_paused():
        with store.reading() as session:
            for start in range(0, len(signatures), _SIGNATURES_PER_SELECT):
                batch = signatures[start : start + _SIGNATURES_PER_SELECT]
                rows += session.execute(
                    select(*_COLUMNS).where(
                        models.ProbeRow.board == device.board,
                        models.ProbeRow.device_kind == device.device_kind,
                        models.ProbeRow.ttnn_version == device.ttnn_version,
                        models.ProbeRow.layer_signature.in_(batch),
                    )
                )
        rows.sort(key=lambda row: int(row.id))
        probes = [_from_row(row, device, store.describe()) for row in rows]
    return {probe.key: probe for probe in probes}


def _to_row(probe: StoredProbe, now: datetime) -> dict[str, Any]:
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
    }


def _from_row(row: Row[Any], device: DeviceKey, place: str) -> StoredProbe:
    where = f"{place}: autosched_probe {row.id}"
    target = ProbeOutcome if row.rejection is None else Rejection
    return StoredProbe(
        ProbeKey(row.layer_signature, row.config_digest, row.inputs_digest, device),
        read_plain(LayerConfig, row.config, where),
        read_plain(tuple[TensorLayout, ...], row.input_layouts, where),
        unpack(target, row.outcome, where),
    )
