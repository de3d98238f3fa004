"""Formats side by side: the search at floors of accuracy, and the same formats for all layers.

Each way of choosing formats is a study of its own, which is stored: run again, it goes on. The PCC
of each best schedule is emulated, on inputs that nothing was fitted to.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from autosched.bench.coverage import reason_of
from autosched.device.interface import Device
from autosched.errors import AutoschedError
from autosched.network.graph import Network
from autosched.schedule.configurations import Fidelity
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DataType
from autosched.search.accuracy import AccuracyJudge
from autosched.search.open_study import default_study_name, open_study
from autosched.search.run import Observer
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.space.formats import Formats
from autosched.store.database import Store
from autosched.store.executions import (
    ExecutionRecord,
    emulation_record,
    find_verification,
    save_verification,
)

_ANY_PCC = 1e-9
_OF_NETWORK = 6


@dataclass(frozen=True)
class Way:
    """One way to choose formats: those given, or with a floor, what the search finds."""

    name: str
    slug: str
    formats: Formats = field(default_factory=Formats)
    floor: float | None = None


_EXACT = Formats().most_exact

FIXED = Way("fixed: bfloat8_b and LoFi, ends in bfloat16 and HiFi2", "fixed")
"""What a search has where no accuracy is asked for."""

ALIKE = (
    Way(
        "bfloat8_b and LoFi everywhere",
        "bfloat8",
        Formats(end_activations=DataType.BFLOAT8_B, end_fidelity=Fidelity.LOFI),
    ),
    Way("bfloat16 and HiFi4 everywhere", "bfloat16", replace(_EXACT, fp32_accumulation=False)),
    Way("bfloat16, HiFi4, float32 sums everywhere", "float32", _EXACT),
)
"""The same formats for all layers, as far as ttnn has them."""


def searched_at(floor: float) -> Way:
    """Return the search for the fastest schedule of at least this PCC."""
    return Way(f"searched, at least {floor:g}", f"{floor:g}", floor=floor)


@dataclass(frozen=True)
class FormatRow:
    """What a way of choosing formats came to; ``pcc`` and ``concordance`` are emulated.

    ``latency_us`` is None where no schedule ran that meets the floor: then ``pcc`` is the best in
    reach, and ``reason`` names the layers to blame.
    """

    network: str
    board: str
    batch: int
    inputs: tuple[tuple[int, ...], ...]
    formats: str
    floor: float | None = None
    latency_us: float | None = None
    latency_kind: TimeKind | None = None
    cost_model: str = ""
    pcc: float | None = None
    concordance: float | None = None
    search_s: float = 0.0
    reason: str = ""

    def meets(self, floor: float) -> bool:
        """Whether a schedule ran, and its emulated PCC is at least ``floor``."""
        return self.latency_us is not None and self.pcc is not None and self.pcc >= floor

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return {**asdict(self), "inputs": [list(shape) for shape in self.inputs]}


def best_alike(rows: Sequence[FormatRow], floor: float) -> FormatRow | None:
    """Return the fastest row without a floor of its own that meets this one."""
    meeting = [row for row in rows if row.floor is None and row.meets(floor)]
    return min(meeting, key=lambda row: row.latency_us or 0.0, default=None)


class FormatComparison:
    """One network on one device, whose formats are chosen in several ways.

    The device is the caller's to close. ``settings`` are those of every study but for the formats.
    """

    def __init__(self, network: Network, device: Device, store: Store, settings: Settings) -> None:
        self._network, self._device, self._store = network, device, store
        self._settings = settings

    def row(self, way: Way, trials: int | None, observer: Observer) -> FormatRow:
        """Search for a schedule with formats chosen in this way; what is wrong is the reason."""
        network, board = self._network, self._device.board.name
        inputs = tuple(tuple(sample.shape) for sample in network.samples)
        row = FormatRow(network.name, board, network.batch, inputs, way.name, way.floor)
        begin = time.perf_counter()
        try:
            row = self._searched(row, way, trials, observer)
        except AutoschedError as error:
            row = replace(row, reason=reason_of(error))
        return replace(row, search_s=time.perf_counter() - begin)

    def _searched(
        self, row: FormatRow, way: Way, trials: int | None, observer: Observer
    ) -> FormatRow:
        study = self.study(way)
        try:
            best = study.optimize(trials, observer=observer)
        except AutoschedError as error:
            nearest = max(self._verified(study), key=lambda found: found.pcc or 0.0, default=None)
            return _with_accuracy(replace(row, reason=reason_of(error)), nearest)
        if best is None or best.schedule is None:
            return replace(row, reason="no schedule ran")
        row = replace(
            row,
            latency_us=best.latency_us,
            latency_kind=best.latency_kind,
            cost_model=study.cost.version,
        )
        return _with_accuracy(row, self._accuracy(study, best.schedule))

    def study(self, way: Way) -> Study:
        """Return the study of a way of choosing formats."""
        settings = self._settings
        network, board = self._network, self._device.board.name
        usual = default_study_name(network.name, board, network.batch)
        own = f"{usual}-{network.signature[:_OF_NETWORK]}-{settings.effort.name}-{way.slug}"
        chosen = Settings(
            settings.network_file,
            self._device.kind,
            effort=settings.effort,
            formats=way.formats,
            allow_host=settings.allow_host,
            allow_known_faults=settings.allow_known_faults,
            min_pcc=way.floor,
            search_formats=way.floor is not None,
        )
        return open_study(self._store, network, board, chosen, own, self._device)

    def _accuracy(self, study: Study, schedule: Schedule) -> ExecutionRecord:
        """Return what the emulation of a schedule came to, run here if it was not yet."""
        fingerprint = schedule.fingerprint()
        known = find_verification(self._store, study.record, fingerprint, emulated=True)
        if known is None:
            known = emulation_record(fingerprint, self._judge.emulation(schedule))
            save_verification(self._store, study.record, known)
        return known.result

    def _verified(self, study: Study) -> list[ExecutionRecord]:
        found = (
            find_verification(self._store, study.record, trial.fingerprint, emulated=True)
            for trial in study.summaries
        )
        return [item.result for item in found if item is not None]

    @cached_property
    def _judge(self) -> AccuracyJudge:
        return AccuracyJudge(self._network, self._device.board.grid[0], _ANY_PCC)


def _with_accuracy(row: FormatRow, found: ExecutionRecord | None) -> FormatRow:
    if found is None:
        return row
    return replace(row, pcc=found.pcc, concordance=found.concordance)
