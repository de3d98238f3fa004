"""The schedule that is in a program: what it chose for the layers of a network.

What a layer's tensors were when it ran becomes a reshard where the network would bring them
otherwise; nothing is taken that the device rejects.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from autosched.device.interface import Device
from autosched.errors import ProgramError
from autosched.network.graph import Layer, Network, failing_layer
from autosched.network.legal_values import layer_faults
from autosched.network.operators import (
    Input,
)
from autosched.profiling.matching import MATCHED_KINDS, Matches
from autosched.profiling.program import RecordedCall
from autosched.schedule.configurations import (
    Conv2dConfig,
    Fidelity,
    LayerConfig,
    MatmulConfig,
    PoolConfig,
)
from autosched.schedule.outcomes import Rejection, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import (
    DataType,
    Edge,
    Memory,
    PageLayout,
    ShardLayout,
    TensorLayout,
)
from autosched.space.formats import ACTIVATION_TYPES, WEIGHT_TYPES, Formats
from autosched.space.layer_formats import LayerFormats, default_schedule


@dataclass(frozen=True)
class Recovery:
    """A schedule that runs, with the outcome; ``remarks`` say what of the program is not in it.

    ``taken`` are the layers that have the program's configuration.
    """

    schedule: Schedule
    outcome: RunOutcome
    taken: tuple[str, ...]
    remarks: tuple[str, ...]


def formats_of(network: Network, calls: Mapping[str, RecordedCall]) -> Formats:
    """Return the formats of a search in which most of the matched layers keep theirs."""
    multiplying = {
        name: call.config
        for name, call in calls.items()
        if isinstance(call.config, Conv2dConfig | MatmulConfig)
    }

    def kept(weights: DataType) -> int:
        wanted = LayerFormats(network, Formats(weights=weights))
        return sum(
            wanted.weights_dtype(network.by_name[name]) is config.weights_dtype
            for name, config in multiplying.items()
        )

    usual = Formats()
    configs = list(multiplying.values())
    fidelity = _most(usual.fidelity, (item.compute.math_fidelity for item in configs))
    return Formats(
        weights=max((usual.weights, *WEIGHT_TYPES), key=kept),
        activations=_most(
            usual.activations,
            (item.output_dtype for item in configs if item.output_dtype in ACTIVATION_TYPES),
        ),
        fidelity=fidelity,
        end_fidelity=usual.end_fidelity if fidelity is usual.fidelity else fidelity,
        fp32_accumulation=_most(False, (item.compute.fp32_dest_acc_en for item in configs)),
    )


_Value = TypeVar("_Value", DataType, Fidelity, bool)


def _most(usual: _Value, values: Iterable[_Value]) -> _Value:
    """Return the most frequent value, and of as frequent ones the usual."""
    counts: dict[_Value, int] = {usual: 0}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return max(counts, key=counts.__getitem__)


def recover(
    network: Network, found: Matches, device: Device, ttnn_version: str, formats: Formats
) -> Recovery:
    """Return a schedule of a network that has what a program chose, and runs on the device.

    Layers without a call keep ttnn's default, and what the device rejects is left out.

    Raises:
        ProgramError: if no such schedule runs.
    """
    draft = _Draft(
        network, found, default_schedule(network, device.board.name, ttnn_version, formats)
    )
    draft.take(LayerFormats(network, formats))
    device.load(network)
    for _ in range(_STEPS * len(network.layers)):
        schedule = draft.schedule()
        answer = device.run(schedule)
        if isinstance(answer, Rejection):
            draft.give_up(answer)
        elif draft.follow(answer.output_layouts):
            taken = tuple(name for name in draft.taken if name in found.by_layer)
            return Recovery(schedule, answer, taken, tuple(draft.remarks))
    raise ProgramError(f"the schedule of {network.name} does not come to an end; leave --net out")


# The program's layouts of a layer's inputs, its configuration, the default: and one run for each.
_STEPS = 4


class _Draft:
    """A schedule in the making; what is rejected of a layer is given up step by step."""

    def __init__(self, network: Network, found: Matches, default: Schedule) -> None:
        self._network = network
        self._calls = found.by_layer
        self._default = default
        self._layers = dict(default.layers)
        self._reshards: dict[Edge, TensorLayout] = {}
        self._as_they_come: set[str] = set()
        self._outputs: dict[str, TensorLayout] = {}
        self.taken: dict[str, LayerConfig] = {}
        self.remarks: list[str] = []

    def take(self, wanted: LayerFormats) -> None:
        """Take every configuration that the layer may have, in the format of the search."""
        for name, call in self._calls.items():
            layer, config = self._network.by_name[name], call.config
            where = f"{name} ({call.function} at {call.source})"
            if config is None:
                self.remarks.append(f"{where}: a schedule has no such values; it keeps the default")
                continue
            if isinstance(config, Conv2dConfig | MatmulConfig):
                ours = wanted.weights_dtype(layer)
                if config.weights_dtype is not ours:
                    self.remarks.append(
                        f"{where}: weights {config.weights_dtype} become {ours}; a search has one "
                        "format of weights"
                    )
                config = replace(config, weights_dtype=ours)
            config, faults = _legal(layer, config)
            self.remarks += [f"{where}: {fault}; it is left out" for fault in faults]
            if call.unsaid:
                self.remarks.append(f"{where}: {', '.join(call.unsaid)} is not a schedule's to say")
            self.taken[name] = self._layers[name] = config
        self._outputs = {layer.name: self._expected(layer.name) for layer in self._network}
        self.follow({})

    def _expected(self, name: str) -> TensorLayout:
        """Return what a layer leaves, before it is known: what the program's call left."""
        return self._calls[name].output.layout if name in self.taken else TensorLayout()

    def _turn_pools(self, reader: str) -> bool:
        """Have the pools before a layer leave tiles rather than rows; return whether some did."""
        turned = False
        for name in self._network.by_name[reader].inputs:
            config = self.taken.get(name)
            if isinstance(config, PoolConfig) and config.output_page is PageLayout.ROW_MAJOR:
                tiled = replace(config, output_page=PageLayout.TILE)
                self.taken[name] = self._layers[name] = tiled
                left = replace(self._outputs[name], page=PageLayout.TILE)
                self.follow({name: left})
                turned = True
        return turned

    def schedule(self) -> Schedule:
        """Return what it is so far."""
        return replace(
            self._default,
            layers=dict(self._layers),
            reshards=dict(self._reshards),
            frees=frozenset(filter(self._frees, self.taken)),
        )

    def _frees(self, name: str) -> bool:
        layer = self._network.by_name[name]
        if not isinstance(self.taken[name], Conv2dConfig | PoolConfig):
            return False
        producer = layer.inputs[0]
        is_last = self._network.last_uses[producer] == name
        # A reshape's output may be the buffer of another tensor.
        is_own = isinstance(self._network.by_name[producer].op, (*MATCHED_KINDS, Input))
        is_copy = Edge(producer, name) in self._reshards
        return self._calls[name].frees and (is_copy or (is_last and is_own))

    def give_up(self, rejection: Rejection) -> None:
        """Give up what the device rejected.

        Raises:
            ProgramError: if it is nothing of the program's.
        """
        name = failing_layer(self._network, rejection)
        words = " ".join(rejection.message.split())[:200]
        if name is not None and self._turn_pools(name):
            return
        if name is not None and name not in self.taken:
            # The default may not take what a choice before it leaves.
            before = self._network.by_name[name].inputs
            name = next((producer for producer in before if producer in self.taken), None)
        if name is None:
            raise ProgramError(
                f"beside what the program chose, the default of {rejection.layer} does not run: "
                f"{words}"
            )
        edges = [edge for edge in self._reshards if edge.consumer == name]
        if edges and name not in self._as_they_come:
            self._as_they_come.add(name)
            what = "its inputs come as they are, not as the program had them"
        else:
            del self.taken[name]
            self._layers[name] = self._default.layers[name]
            what = "it keeps the default"
        self._outputs[name] = self._expected(name)
        self.follow({})
        self.remarks.append(f"{name}: {what}: {words}")

    def follow(self, outputs: Mapping[str, TensorLayout]) -> bool:
        """Bring every tensor where the program had it; return whether all of them were there.

        ``outputs`` are the layouts that layers have left.
        """
        self._outputs |= outputs
        wanted: dict[Edge, TensorLayout] = {}
        for edge in self._network.edges:
            left = self._outputs[edge.producer]
            target = self._target(edge, left)
            if target is not None and target != left:
                wanted[edge] = target
        is_done = wanted == self._reshards
        self._reshards = wanted
        return is_done

    def _target(self, edge: Edge, left: TensorLayout) -> TensorLayout | None:
        """Return the layout that an edge's tensor is to be brought into, None for as it is."""
        layer = self._network.by_name[edge.consumer]
        if edge.consumer not in self.taken:
            return _in_dram(left) if left.memory is Memory.L1 else None
        inputs = self._calls[edge.consumer].inputs
        if edge.consumer in self._as_they_come or edge.index >= len(inputs):
            return None
        had = inputs[edge.index]
        shape = self._network.input_shapes(layer)[edge.index]
        if math.prod(had.shape) != math.prod(shape):
            return None
        if not had.layout.is_sharded and not left.is_sharded:
            return None
        is_rows = had.layout.page is PageLayout.ROW_MAJOR
        return had.layout if is_rows else replace(had.layout, dtype=left.dtype)


def _legal(layer: Layer, config: LayerConfig) -> tuple[LayerConfig, list[str]]:
    """Return a configuration without the values that its layer has not, and what these are.

    They make no difference to ttnn: a pointwise convolution runs as a matmul, for one.
    """
    usual, told = type(config)(), []
    for fault in list(layer_faults(layer, config)):
        if hasattr(usual, fault.field):
            config = replace(config, **{fault.field: getattr(usual, fault.field)})
        told.append(str(fault))
    return config, told


def _in_dram(layout: TensorLayout) -> TensorLayout:
    return replace(
        layout,
        memory=Memory.DRAM,
        sharding=ShardLayout.INTERLEAVED,
        grid=(),
        shard_shape=None,
        transposed=False,
    )
