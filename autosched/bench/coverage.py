"""How far autosched carries a collection of networks: one row for each network and board.

A network that cannot be captured or scheduled is a row, too, with its reason; it never ends the
collection. Probes are stored as they are made, so that a second run only repeats the trials.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from autosched.bench.bench import Bench, CountedProgress
from autosched.bench.comparison import DEFAULT, NetworkComparison, Watcher, compare
from autosched.device.interface import Device
from autosched.errors import AutoschedError
from autosched.network.graph import Network
from autosched.network.operators import Input
from autosched.probing.lower_bound import relative_gap
from autosched.schedule.outcomes import TimeKind
from autosched.search.settings import Settings
from autosched.store.database import Store

SEARCHED = "joint"
"""The method whose best trial a row shows."""


@dataclass(frozen=True)
class Captured:
    """A network that was captured, or why it was not, and the seconds that took."""

    name: str
    network: Network | None
    seconds: float
    reason: str = ""


def capture_timed(name: str, capture: Callable[[], Network]) -> Captured:
    """Capture a network; whatever goes wrong is kept as a reason."""
    begin = time.perf_counter()
    try:
        network = capture()
    except Exception as error:  # a network's failure is its row, whatever it is
        reason = reason_of(error).removeprefix(f"{name}: ")
        return Captured(name, None, time.perf_counter() - begin, reason)
    return Captured(name, network, time.perf_counter() - begin)


@dataclass(frozen=True)
class CoverageRow:
    """What became of one network on one board; None stands for what was not reached.

    ``kinds`` is the number of distinct layers, ``shared_kinds`` how many of these occur in networks
    earlier in the collection, too. ``gap`` is the best latency's distance to the lower bound of the
    probed choices as a fraction of it; ``reshards`` counts the best trial's layout changes, those
    that ttnn inserts included, ``computing_share`` is the part of the best latency that goes into
    convolutions, matrix products, pools, norms and attention. ``reason`` says why there is no
    latency; ``host_layers`` run on the host.
    """

    network: str
    board: str
    inputs: tuple[tuple[int, ...], ...] = ()
    captured: bool = False
    capture_s: float = 0.0
    layers: int = 0
    kinds: int = 0
    shared_kinds: int = 0
    default_us: float | None = None
    best_us: float | None = None
    latency_kind: TimeKind | None = None
    bound_us: float | None = None
    bound_kind: str | None = None
    bound_estimated_share: float | None = None
    reshards: int | None = None
    computing_share: float | None = None
    probes_run: int = 0
    probes_reused: int = 0
    search_s: float = 0.0
    cost_model: str = ""
    reason: str = ""
    host_layers: tuple[str, ...] = ()

    @property
    def feasible(self) -> bool:
        """Whether a schedule ran."""
        return self.best_us is not None

    @property
    def gain(self) -> float | None:
        """How many times faster the best schedule is than ttnn's default."""
        if self.default_us is None or not self.best_us:
            return None
        return self.default_us / self.best_us

    @property
    def gap(self) -> float | None:
        """How far the best latency is above the lower bound, as a fraction of the bound."""
        return relative_gap(self.best_us, self.bound_us)

    def to_plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        return {
            **asdict(self),
            "inputs": [list(shape) for shape in self.inputs],
            "host_layers": list(self.host_layers),
            "feasible": self.feasible,
            "gain": self.gain,
            "gap": self.gap,
        }


def reason_of(error: Exception) -> str:
    """Return an error as the one line that a row has room for."""
    text = " ".join(str(error).split())
    return text if isinstance(error, AutoschedError) else f"{type(error).__name__}: {text}"


def cover(
    collection: Iterable[Captured],
    device: Device,
    store: Store,
    settings: Settings,
    *,
    trials: int,
    progress: CountedProgress,
    watcher: Watcher,
) -> Iterator[CoverageRow]:
    """Schedule every network of a collection on a device, one row after the other."""
    seen: set[str] = set()
    for item in collection:
        row = CoverageRow(item.name, device.board.name, capture_s=item.seconds, reason=item.reason)
        if item.network is None:
            yield row
            continue
        row = _described(row, item.network, seen)
        begin = time.perf_counter()
        try:
            bench = Bench(item.network, device, store, settings)
            bench.prepare(progress)
            methods = (DEFAULT, SEARCHED)
            found = compare(bench, watcher, trials=trials, seeds=(0,), methods=methods)
            row = _with_result(row, found)
        except Exception as error:  # a network's failure is its row, whatever it is
            row = replace(row, reason=reason_of(error))
        yield replace(row, search_s=time.perf_counter() - begin)


def _described(row: CoverageRow, network: Network, seen: set[str]) -> CoverageRow:
    """Count the network's layers, and note their kinds as ``seen``."""
    kinds = {network.layer_signature(layer) for layer in network}
    shared = len(kinds & seen)
    seen |= kinds
    return replace(
        row,
        inputs=tuple(layer.shape for layer in network if isinstance(layer.op, Input)),
        captured=True,
        layers=len(network.layers),
        kinds=len(kinds),
        shared_kinds=shared,
        host_layers=tuple(layer.name for layer in network.host_layers),
    )


def _with_result(row: CoverageRow, found: NetworkComparison) -> CoverageRow:
    default, searched = (method.typical for method in found.methods)
    best = searched.best
    rejections = [point.rejection for point in searched.points if point.rejection is not None]
    reason = ""
    if best is None and rejections:
        last = rejections[-1]
        reason = f"{last.layer}: {last.kind.value}: {' '.join(last.message.split())}"
    return replace(
        row,
        default_us=None if default.best is None else default.best.latency_us,
        best_us=None if best is None else best.latency_us,
        latency_kind=None if best is None else best.kind,
        bound_us=found.bound_us,
        bound_kind=found.bound_kind,
        bound_estimated_share=found.bound_estimated_share,
        reshards=None if best is None else best.reshards,
        computing_share=None if best is None else best.computing_share,
        probes_run=found.probes["run"],
        probes_reused=found.probes["reused"],
        cost_model=found.cost_model,
        reason=reason,
    )
