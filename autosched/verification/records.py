"""The records behind a schedule: which stored answers each of its layers and reshards rests on.

From the database alone. What a layer left is known by its probe: of those of its configuration, the
one whose device ops are those that the whole network ran for the layer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from autosched.device.revisions import current_execution_revisions, current_revisions
from autosched.network.graph import Network
from autosched.probing.execution_judge import executed_steps
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import AloneTime, DeviceOp, ProbeOutcome, Rejection
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import digest
from autosched.schedule.tensors import TensorLayout
from autosched.store import models
from autosched.store.codec import unpack
from autosched.store.database import Store
from autosched.store.executions import ExecutedConfig
from autosched.store.probes import DeviceKey

_AT_ONCE = 500


@dataclass(frozen=True)
class StoredAnswer:
    """A row of the database that answers for a layer or reshard.

    ``table`` is "probe", "measurement" or "execution", ``number`` its id there; ``site`` says in
    words what answered, ``is_stale`` whether today's code would be asked again.
    """

    table: str
    number: int
    stored_at: datetime
    site: str
    revision: str
    is_stale: bool
    answer: "ProbeOutcome | AloneTime | Rejection | str"


@dataclass(frozen=True)
class TracedStep:
    """A layer, or an edge with its change of layout, and the records behind it.

    ``config`` is None of a change of layout. Without records nothing was asked of it alone: it ran
    as part of the whole network only.
    """

    place: str
    config: LayerConfig | None
    records: tuple[StoredAnswer, ...]


def records_behind(
    store: Store,
    network: Network,
    schedule: Schedule,
    ops: Sequence[DeviceOp],
    devices: Sequence[DeviceKey],
    arch: str,
) -> list[TracedStep]:
    """Return what is stored of each step of a schedule whose trial ran ``ops``.

    ``devices`` are those whose probes count. Where a layer has no probe, the layouts after it are
    not known, and no change of layout is traced.

    Raises:
        StoreError: if the database refuses, or a row is damaged.
    """
    rows = _Rows(store, network, schedule, devices, arch)
    ran: dict[str, list[DeviceOp]] = {}
    for op in ops:
        ran.setdefault(op.layer, []).append(op)
    found = {
        layer.name: rows.probe_of(
            (network.layer_signature(layer), digest(schedule.layers[layer.name])),
            ran.get(layer.name, []),
        )
        for layer in network
    }
    left = {name: item.left for name, item in found.items() if item is not None}
    if len(left) < len(found):
        return [
            TracedStep(name, schedule.layers[name], () if item is None else rows.behind(item.key))
            for name, item in found.items()
        ]
    steps = []
    for step in executed_steps(network, schedule, left):
        own = found.get(step.place)
        keys = {step.config} if own is None else {step.config, own.key}
        records = tuple(record for key in sorted(keys) for record in rows.behind(key))
        steps.append(TracedStep(step.place, schedule.layers.get(step.place), records))
    return steps


@dataclass(frozen=True)
class _Found:
    """A probe by its key, with the layout that its layer left."""

    key: ExecutedConfig
    left: TensorLayout


class _Rows:
    """The rows that a schedule's layers may have, read at once, and others as they are asked."""

    def __init__(
        self,
        store: Store,
        network: Network,
        schedule: Schedule,
        devices: Sequence[DeviceKey],
        arch: str,
    ) -> None:
        self._store = store
        self._devices = {str(device): device for device in devices}
        self._arch = arch
        self._ttnn = devices[0].ttnn_version
        self._by_layer: dict[tuple[str, str], list[tuple[ExecutedConfig, StoredAnswer]]] = {}
        wanted = {
            (network.layer_signature(layer), schedule.layers[layer.name]) for layer in network
        }
        self._load({(signature, digest(config)) for signature, config in wanted})

    def probe_of(self, layer: tuple[str, str], ran: Sequence[DeviceOp]) -> _Found | None:
        """Return the probe whose ops are those that ran, else the first of the configuration."""
        probes = [
            (key, record.answer)
            for key, record in self._by_layer[layer]
            if record.table == "probe" and isinstance(record.answer, ProbeOutcome)
        ]
        codes = _codes(ran)
        alike = [found for found in probes if _codes(found[1].ops) == codes]
        return next((_Found(key, said.output_layout) for key, said in alike or probes), None)

    def behind(self, key: ExecutedConfig) -> tuple[StoredAnswer, ...]:
        """Return all rows under one key, probes first."""
        layer = key[:2]
        if layer not in self._by_layer:
            self._load({layer})
        return tuple(record for found, record in self._by_layer[layer] if found == key)

    def _load(self, layers: Iterable[tuple[str, str]]) -> None:
        self._by_layer.update({layer: [] for layer in layers})
        wanted = sorted(layers)
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            for table in (models.ProbeRow, models.MeasurementRow, models.ExecutionRow):
                self._read(table, part)

    def _read(self, table: Any, part: Sequence[tuple[str, str]]) -> None:
        query = select(table).where(
            table.ttnn_version == self._ttnn,
            table.layer_signature.in_({signature for signature, _ in part}),
            table.config_digest.in_({config for _, config in part}),
        )
        with self._store.reading() as session:
            for row in session.scalars(query.order_by(table.id)):
                own = self._by_layer.get((row.layer_signature, row.config_digest))
                record = None if own is None else self._record(row)
                if own is not None and record is not None:
                    own.append(
                        ((row.layer_signature, row.config_digest, row.inputs_digest), record)
                    )

    def _record(self, row: Any) -> StoredAnswer | None:
        """Return a row as a record, None if it is of another device."""
        name = row.__tablename__.removeprefix(models.TABLE_PREFIX)
        if isinstance(row, models.ExecutionRow):
            if row.arch != self._arch:
                return None
            site = f"{row.arch}, {row.kind}, compiler {row.toolchain}, ttnn {row.ttnn_version}"
            is_stale = row.revision not in current_execution_revisions()
            concordance = "" if row.concordance is None else f", concordance {row.concordance:.5f}"
            return StoredAnswer(
                *(name, row.id, row.created_at, site, row.revision, is_stale),
                f"{row.verdict}{concordance}",
            )
        kind = row.device_kind if isinstance(row, models.ProbeRow) else "silicon"
        site = str(DeviceKey(row.board, kind, row.ttnn_version, row.firmware))
        if site not in self._devices:
            return None
        target: Any = ProbeOutcome if isinstance(row, models.ProbeRow) else AloneTime
        where = f"{self._store.describe()}: {row.__tablename__} {row.id}"
        answer = unpack(Rejection if row.rejection is not None else target, row.outcome, where)
        is_stale = row.revision not in current_revisions()
        return StoredAnswer(name, row.id, row.created_at, site, row.revision, is_stale, answer)


def _codes(ops: Iterable[DeviceOp]) -> list[tuple[object, ...]]:
    return [(op.code, op.inputs, op.outputs) for op in ops]
