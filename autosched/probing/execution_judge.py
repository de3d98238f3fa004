"""What is known of a search's candidates by execution: what goes wrong, and what was right.

And what of a schedule is executed alone: its layers and changes of layout, each with its kind.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autosched.device.interface import ProbeRequest, Request, ReshardRequest
from autosched.device.revisions import current_execution_revisions
from autosched.evidence.fault_rules import Executable
from autosched.evidence.kinds import kind_of, reshard_kind
from autosched.evidence.known_faults import faults_of, known_faults
from autosched.evidence.table import ExecutedKinds, shipped_kinds
from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    ActivatedOutput,
    Constant,
    DeviceInput,
    HostOp,
    Input,
    LayerOp,
    Output,
)
from autosched.network.read_layouts import read_layouts, uploaded
from autosched.probing.probe_book import reshard_signature
from autosched.schedule.configurations import FixedConfig, LayerConfig
from autosched.schedule.outcomes import (
    AGAINST,
    DeviceOp,
    ProbeOutcome,
    Rejection,
    RejectionKind,
    RunOutcome,
    Verdict,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import digest
from autosched.schedule.tensors import TensorLayout
from autosched.store.database import Store
from autosched.store.executions import ExecutedConfig, ExecutionRecord, find_verdicts
from autosched.store.probes import ProbeKey

BY_RULE = "known to go wrong"
"""How candidates are counted that a rule turns down; others by their verdict."""


class ExecutionJudge:
    """Turns down candidates, reshards and runs that go wrong on a card, as far as is known.

    ``executed`` has the kind of execution and the result, by what was executed. ``network`` is the
    one of the search, whatever the order of its layers; ``uses_rules`` off leaves in what only a
    rule speaks against. What is of the ``kinds`` was executed right with small layers, what is
    among ``right`` itself; without kinds, all counts as executed.
    """

    def __init__(
        self,
        network: Network,
        executed: Mapping[ExecutedConfig, tuple[str, ExecutionRecord]],
        arch: str,
        ttnn_version: str,
        *,
        uses_rules: bool = True,
        kinds: ExecutedKinds | None = None,
        right: Collection[ExecutedConfig] = frozenset(),
    ) -> None:
        self._kinds = kinds
        self._right = right
        self._network = network
        self._executed = executed
        self._arch = arch
        self._ttnn_version = ttnn_version
        self._uses_rules = uses_rules
        self._suspects = {config[:2] for config in executed}
        self._met: dict[ExecutedConfig, str] = {}
        self._known: dict[ProbeKey, Rejection | None] = {}
        self._executed_right: dict[ProbeKey, bool] = {}

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many distinct candidates and reshards were turned down, by verdict or by rule."""
        return Counter(self._met.values())

    def against_probe(
        self, request: Request, key: ProbeKey, outcome: ProbeOutcome
    ) -> Rejection | None:
        """Return the rejection of what a device accepted, None if nothing is known against it."""
        if key not in self._known:
            self._known[key] = self._against(request, key, outcome)
        return self._known[key]

    def _against(self, request: Request, key: ProbeKey, outcome: ProbeOutcome) -> Rejection | None:
        config = (key.layer_signature, key.config_digest, digest(outcome.input_layouts))
        found = self._by_rule(request, outcome)
        if found is not None:
            self._met[config] = BY_RULE
            return found
        found = self._by_execution(config)
        if found is not None:
            self._met[config] = self._executed[config][1].verdict.value
        return found

    def _by_rule(self, request: Request, outcome: ProbeOutcome) -> Rejection | None:
        if not self._uses_rules or not isinstance(request, ProbeRequest):
            return None
        candidate = Executable(
            request.op, request.input_shapes, request.shape, request.config, outcome.ops
        )
        faults = faults_of(candidate, self._arch, self._ttnn_version)
        return Rejection(RejectionKind.ACCURACY, faults[0].words) if faults else None

    def against_run(self, schedule: Schedule, outcome: RunOutcome) -> Rejection | None:
        """Return the rejection of a schedule that ran, naming the layer or change of layout."""
        found = self.against_ops(schedule, outcome.ops)
        if found is not None or not self.suspects(schedule):
            return found
        for step in executed_steps(self._network, schedule, outcome.output_layouts):
            found = self._by_execution(step.config, step.place)
            if found is not None:
                return found
        return None

    def against_ops(self, schedule: Schedule, ops: Iterable[DeviceOp]) -> Rejection | None:
        """Return the rejection of a schedule by the rules alone, from the device ops of its run."""
        if not self._uses_rules:
            return None
        faults = known_faults(schedule, self._network, ops, self._arch, self._ttnn_version)
        for layer, fault in faults.items():
            return Rejection(RejectionKind.ACCURACY, fault.words, layer)
        return None

    def suspects(self, schedule: Schedule) -> bool:
        """Whether a schedule may have a step that was executed wrong; its layouts decide."""
        reshards = {signature for signature, _ in self._suspects} & {
            reshard_signature(layer.shape) for layer in self._network
        }
        changes = schedule.reshards or schedule.moves
        return (bool(reshards) and bool(changes)) or any(
            (self._network.layer_signature(layer), digest(schedule.layers[layer.name]))
            in self._suspects
            for layer in self._network
            if layer.name in schedule.layers
        )

    def is_executed(self, request: Request, key: ProbeKey, outcome: ProbeOutcome) -> bool:
        """Whether a candidate, or its kind, was executed right; what computes nothing is.

        Where nothing was ever executed with this ttnn, that is held against nobody.
        """
        if self._kinds is None or not self._kinds.met:
            return True
        if key not in self._executed_right:
            config = (key.layer_signature, key.config_digest, digest(outcome.input_layouts))
            kind = kind_of_request(request, outcome.input_layouts, outcome.output_layout)
            self._executed_right[key] = self._was_right(config, kind)
        return self._executed_right[key]

    def unexecuted(self, schedule: Schedule, outcome: RunOutcome) -> tuple[str, ...]:
        """Return the layers and changes of layout of a run of whose kind none was executed."""
        return tuple(
            step.place
            for step in executed_steps(self._network, schedule, outcome.output_layouts)
            if not self._was_right(step.config, step.kind)
        )

    def _was_right(self, config: ExecutedConfig, kind: str) -> bool:
        return not kind or self._kinds is None or config in self._right or kind in self._kinds

    def _by_execution(self, config: ExecutedConfig, place: str = "") -> Rejection | None:
        if config not in self._executed:
            return None
        kind, result = self._executed[config]
        words = f"{kind} alone: {result.verdict}"
        if result.message:
            words = f"{words}, {result.message}"
        return Rejection(RejectionKind.ACCURACY, words, place)


def load_judge(
    store: Store, network: Network, arch: str, ttnn_version: str, *, uses_rules: bool = True
) -> ExecutionJudge:
    """Read what is known of configurations, once a run.

    Raises:
        StoreError: if the database refuses.
    """
    revisions = current_execution_revisions()
    executed = find_verdicts(store, arch, ttnn_version, revisions, AGAINST)
    right = find_verdicts(store, arch, ttnn_version, revisions, [Verdict.RIGHT])
    return ExecutionJudge(
        network,
        executed,
        arch,
        ttnn_version,
        uses_rules=uses_rules,
        kinds=shipped_kinds(arch, ttnn_version),
        right=right.keys(),
    )


@dataclass(frozen=True)
class ExecutedStep:
    """A layer or change of layout of a schedule, in the layouts that it has there.

    ``place`` is its layer or edge, ``config`` what identifies it as its probe is identified, and
    ``kind`` is "" where the device computes nothing.
    """

    place: str
    request: Request
    config: ExecutedConfig
    kind: str


def executed_steps(
    network: Network, schedule: Schedule, left: Mapping[str, TensorLayout]
) -> Iterator[ExecutedStep]:
    """Yield every layer of a schedule whose layers leave ``left``, then every change of layout."""
    read = read_layouts(network, schedule, left)
    for layer in network:
        config = schedule.layers[layer.name]
        request = layer_request(network, layer, config, read.inputs[layer.name])
        inputs = request.input_layouts or ()
        yield ExecutedStep(
            layer.name,
            request,
            layer_config(network, layer, config, inputs),
            kind_of_request(request, inputs, left[layer.name]),
        )
    for change in read.changes:
        shape, source, target = change.producer.shape, change.source, change.target
        yield ExecutedStep(
            change.label,
            ReshardRequest(shape, source, target),
            reshard_config(shape, source, target),
            reshard_kind(source, target),
        )


def layer_request(
    network: Network, layer: Layer, config: LayerConfig, layouts: tuple[TensorLayout, ...]
) -> ProbeRequest:
    """Return a layer in a configuration and the layouts that it reads; inputs are uploaded."""
    is_input = isinstance(layer.op, Input)
    shapes = (layer.shape,) if is_input else network.input_shapes(layer)
    inputs = (uploaded(layer.op, config),) if is_input else layouts
    return ProbeRequest(layer.op, shapes, layer.shape, config, inputs)


def layer_config(
    network: Network, layer: Layer, config: LayerConfig, inputs: Sequence[TensorLayout]
) -> ExecutedConfig:
    """Return what identifies a layer in a configuration and the layouts that it reads."""
    return network.layer_signature(layer), digest(config), digest(tuple(inputs))


def reshard_config(
    shape: tuple[int, ...], source: TensorLayout, target: TensorLayout
) -> ExecutedConfig:
    """Return what identifies a change of layout, as its probe does."""
    config = FixedConfig(output=target, method="reshard")
    return reshard_signature(shape), digest(config), digest((source,))


def computes(op: LayerOp) -> bool:
    """Return whether a layer computes on the device, rather than hand on what is there."""
    hands_on = isinstance(op, Output) and not isinstance(op, ActivatedOutput)
    return not hands_on and not isinstance(op, Constant | DeviceInput | HostOp)


def kind_of_request(
    request: Request, inputs: tuple[TensorLayout, ...], output: TensorLayout
) -> str:
    """Return the kind of what is asked (:mod:`autosched.evidence.kinds`), by its layouts.

    It is "" for a layer that computes nothing on the device.
    """
    if isinstance(request, ReshardRequest):
        return reshard_kind(request.source, request.target)
    if not computes(request.op):
        return ""
    return kind_of(request.op, request.input_shapes, request.config, inputs, output)
