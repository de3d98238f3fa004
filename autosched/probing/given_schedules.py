"""What a known schedule chose: asked as candidates of the joint search, and found among them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from autosched.network.graph import Layer, Network, in_execution_order
from autosched.network.operators import Input
from autosched.network.read_layouts import uploaded
from autosched.probing.candidates import Choice, Tables
from autosched.schedule.configurations import Conv2dConfig, LayerConfig, PoolConfig
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import Edge, Memory, TensorLayout
from autosched.space.layers import Option


def known_choices(
    network: Network, schedule: Schedule, ask: Callable[[Layer, Option], Sequence[Choice]]
) -> Iterator[tuple[str, Choice]]:
    """Yield what a schedule chose for each layer, asked in the layouts that it has there.

    What the device rejects alone is left out, and so is what would read its output: nobody knows
    in which layout.

    Raises:
        ScheduleError: if the schedule runs a layer before one whose output it reads.
    """
    waiting: dict[str, TensorLayout] = {}
    for layer in in_execution_order(network, schedule):
        inputs = _input_layouts(layer, schedule, waiting)
        if inputs is not None:
            for choice in ask(layer, Option(schedule.layers[layer.name], inputs)):
                waiting[layer.name] = choice.output_layout
                yield layer.name, choice
        for edge, target in schedule.moves.items():
            if edge.consumer == layer.name:
                waiting[edge.producer] = target


def _input_layouts(
    layer: Layer, schedule: Schedule, waiting: dict[str, TensorLayout]
) -> tuple[TensorLayout, ...] | None:
    if isinstance(layer.op, Input):
        return (uploaded(layer.op, schedule.layers[layer.name]),)
    found = []
    for index, producer in enumerate(layer.inputs):
        edge = Edge(producer, layer.name, index)
        if edge not in schedule.reshards and producer not in waiting:
            return None
        found.append(schedule.reshards.get(edge) or waiting[producer])
    return tuple(found)


@dataclass(frozen=True)
class Trace:
    """Which candidates the first layers of a schedule are, and where their tensors wait then.

    ``candidates`` are indices by layer, ``spills`` the moves of tensors to DRAM.
    """

    candidates: Mapping[str, int]
    waiting: Mapping[str, TensorLayout]
    spills: tuple[Edge, ...]

    def longer(
        self,
        layer: str,
        candidate: int,
        output: TensorLayout,
        moves: Iterable[tuple[Edge, TensorLayout]],
    ) -> "Trace | None":
        """Return it with one more layer and the moves after it.

        None if one of these is neither a spill nor packs a tensor where it is.
        """
        waiting = {**self.waiting, layer: output}
        spills = self.spills
        for edge, target in moves:
            if target == waiting.get(edge.producer):
                continue
            if target.memory is Memory.L1 or edge.producer not in waiting:
                return None
            waiting[edge.producer] = target
            spills = (*spills, edge)
        return Trace({**self.candidates, layer: candidate}, waiting, spills)


def trace(network: Network, tables: Tables, schedule: Schedule) -> Trace | None:
    """Follow a schedule through tables.

    Candidates of a layer may differ in nothing that a schedule says of it: then what their outputs
    meet later decides. None if the schedule is not of these tables, runs the layers in another
    order, or moves a tensor into another layout within L1.
    """
    if list(schedule.layers) != [layer.name for layer in network]:
        return None
    moves: dict[str, list[tuple[Edge, TensorLayout]]] = {}
    for edge, target in schedule.moves.items():
        moves.setdefault(edge.consumer, []).append((edge, target))
    traces = [Trace({}, {}, ())]
    live: dict[str, None] = {}
    for layer in network:
        live = {name: None for name in live if network.last_uses[name] != layer.name}
        if layer.name in network.last_uses:
            live[layer.name] = None
        longer: dict[tuple[TensorLayout, ...], Trace] = {}
        for so_far in traces:
            for index in _matching(layer, tables[layer.name], schedule, so_far.waiting):
                output = tables[layer.name][index].output_layout
                new = so_far.longer(layer.name, index, output, moves.get(layer.name, ()))
                if new is not None:
                    # Nothing else tells two of them apart from here on; the first is likelier.
                    longer.setdefault(tuple(new.waiting[name] for name in live), new)
        traces = list(longer.values())
    return traces[0] if traces else None


def _matching(
    layer: Layer,
    choices: Sequence[Choice],
    schedule: Schedule,
    waiting: Mapping[str, TensorLayout],
) -> list[int]:
    """Return the candidates that a schedule's layer can be.

    Those whose halo moves as scheduled come first: the others' was moved to make room.
    """
    inputs = tuple(
        schedule.reshards.get(Edge(producer, layer.name, index), waiting[producer])
        for index, producer in enumerate(layer.inputs)
    )
    scheduled = schedule.layers[layer.name]
    wanted = _without_halo_move(scheduled)
    found = [
        index
        for index, choice in enumerate(choices)
        if (not layer.inputs or choice.input_layouts == inputs)
        and _without_halo_move(choice.config) == wanted
    ]
    moves = _moves_halo(scheduled)
    return sorted(found, key=lambda index: _moves_halo(choices[index].config) != moves)


def _without_halo_move(config: LayerConfig) -> LayerConfig:
    if isinstance(config, Conv2dConfig | PoolConfig):
        return replace(config, reallocate_halo_output=False)
    return config


def _moves_halo(config: LayerConfig) -> bool:
    return isinstance(config, Conv2dConfig | PoolConfig) and config.reallocate_halo_output
