"""What executed kernels showed of the candidates of a search: what computes wrong is left out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from autosched.device.revisions import current_execution_revisions
from autosched.network.graph import Layer, Network
from autosched.network.operators import Input
from autosched.network.read_layouts import UPLOADED, read_layouts
from autosched.probing.probe_book import reshard_signature
from autosched.schedule.configurations import FixedConfig, LayerConfig
from autosched.schedule.outcomes import (
    AGAINST,
    ProbeOutcome,
    Rejection,
    RejectionKind,
    Verdict,
)
from autosched.schedule.schedule import Schedule
from autosched.schedule.serialization import digest
from autosched.schedule.tensors import TensorLayout
from autosched.store.database import Store
from autosched.store.executions import ExecutedConfig, ExecutionRecord, find_verdicts
from autosched.store.probes import ProbeKey


class ExecutionFilter:
    """Turns candidates, reshards and runs down that computed wrong, hung or aborted somewhere.

    ``faults`` has the kind of execution and the result, by what was executed. ``network`` is the
    one of the search, whatever the order of its layers.
    """

    def __init__(
        self, network: Network, faults: Mapping[ExecutedConfig, tuple[str, ExecutionRecord]]
    ) -> None:
        self._network = network
        self._faults = faults
        self._suspects = {fault[:2] for fault in faults}
        self._met: dict[ExecutedConfig, Verdict] = {}

    @property
    def left_out(self) -> Mapping[Verdict, int]:
        """How many distinct candidates and reshards were turned down, by verdict."""
        return Counter(self._met.values())

    def against_probe(self, key: ProbeKey, outcome: ProbeOutcome) -> Rejection | None:
        """Return the rejection of what a device accepted, None if nothing is known against it."""
        if (key.layer_signature, key.config_digest) not in self._suspects:
            return None
        config = (key.layer_signature, key.config_digest, digest(outcome.input_layouts))
        found = self._rejection(config)
        if found is not None:
            self._met[config] = self._faults[config][1].verdict
        return found

    def against_run(self, schedule: Schedule, left: Mapping[str, TensorLayout]) -> Rejection | None:
        """Return the rejection of a schedule that ran and left outputs so, naming the step."""
        if not self.suspects(schedule):
            return None
        for place, config in executed_configs(self._network, schedule, left):
            found = self._rejection(config, place)
            if found is not None:
                return found
        return None

    def suspects(self, schedule: Schedule) -> bool:
        """Whether a schedule may have a step that is known to be wrong; its layouts decide."""
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

    def _rejection(self, config: ExecutedConfig, place: str = "") -> Rejection | None:
        if config not in self._faults:
            return None
        kind, result = self._faults[config]
        words = f"{kind} alone: {result.verdict}"
        if result.message:
            words = f"{words}, {result.message}"
        return Rejection(RejectionKind.ACCURACY, words, place)


def load_filter(store: Store, network: Network, arch: str, ttnn_version: str) -> ExecutionFilter:
    """Read what is known against configurations, once a run.

    Raises:
        StoreError: if the database refuses.
    """
    revisions = current_execution_revisions()
    return ExecutionFilter(network, find_verdicts(store, arch, ttnn_version, revisions, AGAINST))


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


def executed_configs(
    network: Network, schedule: Schedule, left: Mapping[str, TensorLayout]
) -> Iterator[tuple[str, ExecutedConfig]]:
    """Yield every layer and change of layout of a schedule by its place."""
    read = read_layouts(network, schedule, left)
    for layer in network:
        inputs = (UPLOADED,) if isinstance(layer.op, Input) else read.inputs[layer.name]
        yield layer.name, layer_config(network, layer, schedule.layers[layer.name], inputs)
    for change in read.changes:
        yield change.label, reshard_config(change.producer.shape, change.source, change.target)
