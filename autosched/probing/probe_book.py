"""Probes of one study: asked of the store first, of the device otherwise, and kept."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from autosched.cost.model import CostModel
from autosched.device.interface import Device, ProbeRequest, ReshardRequest, TensorShape
from autosched.device.revisions import current_revisions, reshard_revision, revision_of
from autosched.network.graph import Layer
from autosched.schedule.configurations import FixedConfig, LayerConfig
from autosched.schedule.outcomes import DeviceOp, ProbeOutcome, Rejection, RejectionKind, TimeKind
from autosched.schedule.serialization import digest, to_plain
from autosched.schedule.tensors import TensorLayout
from autosched.store.database import Store
from autosched.store.probes import DeviceKey, ProbeKey, StoredProbe, load_probes, save_probes

_REPEAT_NOISE = 0.01
_MOVE = "MoveDeviceOperation"
# What a busy or dying machine caused says nothing about the configuration: asked again next time.
TRANSIENT = (RejectionKind.HANG, RejectionKind.CRASH)


@dataclass(frozen=True)
class Probed:
    """A probe that ran: the outcome, and its time with its kind.

    ``stderr_log`` is the standard error of log time: the cost model's, or a card's repeat noise.
    ``move_us`` is what of the time ``ttnn.move`` takes; 0 where a card timed the whole layer.
    """

    outcome: ProbeOutcome
    time_us: float
    kind: TimeKind
    stderr_log: float
    move_us: float = 0.0


def total_us(ops: Iterable[DeviceOp]) -> float:
    """Return the sum of the ops' times in microseconds."""
    return sum(op.time_ns or 0.0 for op in ops) / 1e3


class ProbeBook:
    """Answers probe requests for one device, from memory, the store or the device itself.

    A new answer is written before it is given, which takes about half a millisecond: whatever
    ends the process loses the probe in flight at most. An answer of other code than today's is
    stale: it is asked for again and replaced. ``counts`` says how many were run and reused.
    """

    def __init__(self, store: Store, device: Device, key: DeviceKey, cost: CostModel) -> None:
        self.counts = ProbeCounts()
        self.cost = cost
        self._store = store
        self._device = device
        self._key = key
        self._known: dict[ProbeKey, ProbeOutcome | Rejection] = {}
        self._stored: set[ProbeKey] = set()
        self._asked: set[ProbeKey] = set()
        self._loaded: set[str] = set()

    def load(self, signatures: Iterable[str]) -> None:
        """Read what the store knows of some layers, once."""
        wanted = set(signatures) - self._loaded
        self._loaded |= wanted
        found = load_probes(self._store, wanted, self._key, current_revisions())
        self.counts.stale += found.stale
        for key, probe in found.probes.items():
            self._known.setdefault(key, probe.outcome)
            self._stored.add(key)

    def has_stored(self, signatures: Iterable[str]) -> bool:
        """Return whether the store knows something that is not stale of each of some layers."""
        self.load(signatures := set(signatures))
        return signatures <= {key.layer_signature for key in self._stored}

    def probe(self, signature: str, request: ProbeRequest) -> Probed | Rejection:
        """Return what a candidate did, running it if nobody has yet."""
        native = request.input_layouts is None
        layouts = request.sources if request.input_layouts is None else request.input_layouts
        revision = revision_of(type(request.op))
        key = self._probe_key(signature, request.config, layouts, revision, native=native)
        if key not in self._known:
            self._keep(key, request.config, layouts, self._device.probe(request))
        return self._answer(key)

    def reshard(
        self, shape: TensorShape, source: TensorLayout, target: TensorLayout
    ) -> Probed | Rejection:
        """Return what bringing a tensor from one layout into another did."""
        config = FixedConfig(output=target, method="reshard")
        key = self._probe_key(reshard_signature(shape), config, (source,), reshard_revision())
        if key not in self._known:
            request = ReshardRequest(shape, source, target)
            self._keep(key, config, (source,), self._device.reshard(request))
        return self._answer(key)

    def estimate(self, ops: tuple[DeviceOp, ...]) -> tuple[DeviceOp, ...]:
        """Return ops with a time each: as measured, or by the cost model."""
        if all(op.time_ns is not None for op in ops):
            return ops
        return self.cost.estimate(ops)

    def _probe_key(
        self,
        signature: str,
        config: LayerConfig,
        layouts: tuple[TensorLayout, ...],
        revision: str,
        *,
        native: bool = False,
    ) -> ProbeKey:
        key = ProbeKey.of(signature, config, layouts, self._key, revision)
        return replace(key, inputs_digest=digest(["native", key.inputs_digest])) if native else key

    def _keep(
        self,
        key: ProbeKey,
        config: LayerConfig,
        layouts: tuple[TensorLayout, ...],
        outcome: ProbeOutcome | Rejection,
    ) -> None:
        if not (isinstance(outcome, Rejection) and outcome.kind in TRANSIENT):
            save_probes(self._store, [StoredProbe(key, config, layouts, outcome)])
        self._known[key] = outcome

    def _answer(self, key: ProbeKey) -> Probed | Rejection:
        outcome = self._known[key]
        if key not in self._asked:
            self._asked.add(key)
            self._count(key, outcome)
        if isinstance(outcome, Rejection):
            return outcome
        if outcome.time_us is not None:
            return Probed(outcome, outcome.time_us, TimeKind.MEASURED, _REPEAT_NOISE)
        ops = self.estimate(outcome.ops)
        return Probed(
            outcome,
            total_us(ops),
            TimeKind.ESTIMATED,
            self.cost.stderr_log(outcome.ops),
            total_us(op for op in ops if op.code == _MOVE),
        )

    def _count(self, key: ProbeKey, outcome: ProbeOutcome | Rejection) -> None:
        if key in self._stored:
            self.counts.reused += 1
        else:
            self.counts.run += 1
        if isinstance(outcome, Rejection):
            rejected = self.counts.rejected
            rejected[outcome.kind] = rejected.get(outcome.kind, 0) + 1


def reshard_signature(shape: TensorShape) -> str:
    """Identify the tensors of one shape whose reshards share their probes."""
    return digest({"reshard": to_plain(shape)})


@dataclass
class ProbeCounts:
    """How many probes were run on the device, how many were known, and what was rejected.

    ``stale`` is how many are stored of these layers that other code answered: of no use today.
    """

    run: int = 0
    reused: int = 0
    stale: int = 0
    rejected: dict[RejectionKind, int] = field(default_factory=dict)


Progress = Callable[[Layer, int, int], None]
