"""The joint problem of one network: tables, reshards and L1 as the solver takes them.

Also the way back, from one candidate per layer to a schedule that a device runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from autosched.boards import Board
from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.probing.candidates import Choice, Tables
from autosched.probing.given_schedules import trace
from autosched.probing.reshard_tables import ReshardTable, in_dram
from autosched.schedule.configurations import Conv2dConfig, LayerConfig, PoolConfig
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import Edge, Memory, TensorLayout
from autosched.solver import problem as solver


@dataclass(frozen=True)
class Selection:
    """One joint choice: a candidate's index per layer, and the tensors that wait in DRAM.

    A spill is the edge after whose consumer the tensor is moved, as in ``Schedule.moves``.
    """

    candidates: Mapping[str, int]
    spills: frozenset[Edge] = frozenset()


class JointProblem:
    """Everything the solver needs to choose all layers of a network together."""

    def __init__(
        self,
        network: Network,
        tables: Tables,
        reshards: Mapping[Edge, ReshardTable],
        spills: Mapping[str, ReshardTable],
        board: Board,
    ) -> None:
        self.network = network
        self.tables = tables
        self.reshards = reshards
        self.spills = spills
        self.board = board

    @cached_property
    def layouts(self) -> tuple[TensorLayout, ...]:
        """Every layout that occurs, numbered by place."""
        found: dict[TensorLayout, None] = {}
        for choices in self.tables.values():
            for choice in choices:
                found.update(dict.fromkeys(choice.layouts))
        for table in (*self.reshards.values(), *self.spills.values()):
            for pair in table.times_us:
                found.update(dict.fromkeys(pair))
        return tuple(found)

    @cached_property
    def problem(self) -> solver.Problem:
        """The problem in the solver's integers, as probed."""
        place = {layout: index for index, layout in enumerate(self.layouts)}
        number = {layer.name: index for index, layer in enumerate(self.network)}
        return solver.Problem(
            layers=tuple(self._layer(layer, place, number) for layer in self.network),
            layout_bytes=tuple(layout.shard_bytes for layout in self.layouts),
            capacity_bytes=self.board.l1_bank_bytes,
            describe=self._described,
        )

    def _described(self, layer: int, candidate: int) -> str:
        choice = self.tables[self.network.layers[layer].name][candidate]
        inputs = " and ".join(map(str, choice.input_layouts))
        return f"reading {inputs}, writing {choice.output_layout}, it"

    @cached_property
    def bounding_problem(self) -> solver.Problem:
        """The problem at the least time that each candidate can take, wherever its tensors lie."""
        return replace(
            self.problem,
            layers=tuple(
                replace(
                    layer,
                    candidates=tuple(
                        replace(candidate, time_us=choice.least_us)
                        for candidate, choice in zip(
                            layer.candidates, self.tables[layer.name], strict=True
                        )
                    ),
                )
                for layer in self.problem.layers
            ),
        )

    def _layer(
        self, layer: Layer, place: Mapping[TensorLayout, int], number: Mapping[str, int]
    ) -> solver.LayerTable:
        return solver.LayerTable(
            name=layer.name,
            producers=tuple(number[name] for name in layer.inputs),
            candidates=tuple(
                solver.Candidate(
                    time_us=choice.time_us,
                    input_layouts=tuple(place[layout] for layout in choice.input_layouts)
                    if layer.inputs
                    else (),
                    output_layout=place[choice.output_layout],
                    cb_bytes=choice.scratch_bytes,
                    payload=index,
                    saved_bytes=choice.saved_by_freeing_bytes,
                )
                for index, choice in enumerate(self.tables[layer.name])
            ),
            reshards=tuple(
                _numbered(self.reshards[Edge(name, layer.name, index)], place)
                for index, name in enumerate(layer.inputs)
            ),
            moves=_numbered(self.spills[layer.name], place) if layer.name in self.spills else {},
        )

    def schedule(self, selection: Selection, provenance: Provenance) -> Schedule:
        """Return the schedule of a joint choice, with liveness worked out.

        Reshards follow from the choices: a tensor that does not wait in the layout its consumer's
        candidate takes is brought into it.
        """
        chosen = {
            name: choices[selection.candidates.get(name, 0)]
            for name, choices in self.tables.items()
        }
        waiting = {name: choice.output_layout for name, choice in chosen.items()}
        reshards: dict[Edge, TensorLayout] = {}
        moves: dict[Edge, TensorLayout] = {}
        layers: dict[str, LayerConfig] = {}
        buffers = SharedBuffers(self.network)
        for layer in self.network:
            choice = chosen[layer.name]
            for index, producer in enumerate(layer.inputs):
                if waiting[producer] != choice.input_layouts[index]:
                    reshards[Edge(producer, layer.name, index)] = choice.input_layouts[index]
            buffers.add(layer, choice, reshards)
            layers[layer.name] = with_liveness(layer, choice, reshards, buffers)
            for name in (*dict.fromkeys(layer.inputs), layer.name):
                edge = Edge(name, layer.name)
                if edge in selection.spills and waiting[name].memory is Memory.L1:
                    moves[edge] = waiting[name] = in_dram(waiting[name])
        return Schedule(provenance, layers, reshards, moves)

    def selection(self, candidates: Sequence[int], moved: Iterable[tuple[int, int]]) -> Selection:
        """Return the joint choice in names: moves are (tensor, layer after which it moves)."""
        names = [layer.name for layer in self.network]
        return Selection(
            dict(zip(names, candidates, strict=True)),
            frozenset(Edge(names[tensor], names[after]) for tensor, after in moved),
        )

    def find(self, schedule: Schedule) -> Selection | None:
        """Return the joint choice a schedule came from.

        None if it is not of these tables, runs the layers in another order, or moves a tensor into
        another layout within L1. Where candidates differ in nothing that a schedule says, what
        their tensors meet later decides.
        """
        found = trace(self.network, self.tables, schedule)
        if found is None:
            return None
        return Selection(found.candidates, frozenset(found.spills))

    def waiting_layouts(self, schedule: Schedule, after: str) -> Mapping[str, TensorLayout]:
        """Return the layout in which each tensor waits once layer ``after`` has run.

        Raises:
            SearchError: if the schedule is not of these tables: nobody knows its layouts then.
        """
        found = trace(self.network, self.tables, schedule)
        if found is None:
            raise SearchError(
                f"a schedule of {schedule.provenance.network} is not made of the candidates of "
                "this search, so that the layouts of its tensors are unknown"
            )
        waiting: dict[str, TensorLayout] = {}
        for layer in self.network:
            waiting[layer.name] = self.tables[layer.name][
                found.candidates[layer.name]
            ].output_layout
            for edge, target in schedule.moves.items():
                if edge.consumer == layer.name:
                    waiting[edge.producer] = target
            if layer.name == after:
                break
        return waiting


def _numbered(
    table: ReshardTable, place: Mapping[TensorLayout, int]
) -> dict[tuple[int, int], float]:
    return {
        (place[source], place[target]): time_us
        for (source, target), time_us in table.times_us.items()
    }


class SharedBuffers:
    """Which layers' outputs share a buffer: one that runs nothing hands its input on."""

    def __init__(self, network: Network) -> None:
        self._position = {layer.name: index for index, layer in enumerate(network)}
        self._last_uses = network.last_uses
        self._sharing: dict[str, list[str]] = {}

    def add(self, layer: Layer, choice: Choice, reshards: Mapping[Edge, TensorLayout]) -> None:
        """Note the next layer in execution order."""
        names = [layer.name]
        if layer.inputs and not choice.ops and Edge(layer.inputs[0], layer.name) not in reshards:
            names = self._sharing[layer.inputs[0]]
            names.append(layer.name)
        self._sharing[layer.name] = names

    def is_last_reader(self, layer: Layer) -> bool:
        """Whether nothing reads the buffer of a layer's first input after it."""
        return all(
            self._position[self._last_uses.get(name, name)] <= self._position[layer.name]
            for name in self._sharing[layer.inputs[0]]
        )


def with_liveness(
    layer: Layer, choice: Choice, reshards: Mapping[Edge, TensorLayout], buffers: SharedBuffers
) -> LayerConfig:
    """Let the layer free its input early where nobody else reads it."""
    config = choice.config
    if not isinstance(config, Conv2dConfig | PoolConfig):
        return config
    frees = Edge(layer.inputs[0], layer.name) in reshards or (
        choice.input_layouts[0].memory is Memory.L1 and buffers.is_last_reader(layer)
    )
    if isinstance(config, Conv2dConfig):
        return replace(config, deallocate_activation=frees)
    return replace(config, deallocate_input=frees)
