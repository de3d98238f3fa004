"""The joint problem of one network: tables, reshards and L1 as the solver takes them.

Also the way back, from one candidate per layer to a schedule that a device runs.
"""

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from autosched.boards import Board
from autosched.device.interface import TensorShape
from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.probing.candidates import Choice, Tables
from autosched.probing.given_schedules import trace
from autosched.probing.reshard_tables import LayoutChange, ReshardTable, distinct, in_dram
from autosched.schedule.configurations import Conv2dConfig, PoolConfig
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import Edge, Memory, TensorLayout
from autosched.solver import problem as solver
from autosched.solver.orders import in_any_order


@dataclass(frozen=True)
class Selection:
    """One joint choice: a candidate's index per layer, and the tensors that wait in DRAM.

    A spill is the edge after whose consumer the tensor is moved, as in ``Schedule.moves``.
    """

    candidates: Mapping[str, int]
    spills: frozenset[Edge] = frozenset()


class JointProblem:
    """Everything the solver needs to choose all layers of a network together.

    ``tables`` has what can be chosen, ``left_out`` what was probed beside, which the bound counts.
    ``beside`` are reshards that the bound of any order needs, by the tensor's layer.
    """

    def __init__(
        self,
        network: Network,
        tables: Tables,
        reshards: Mapping[Edge, ReshardTable],
        spills: Mapping[str, ReshardTable],
        board: Board,
        *,
        left_out: Tables | None = None,
        beside: Mapping[str, ReshardTable] | None = None,
    ) -> None:
        self.network = network
        self.tables = tables
        self.reshards = reshards
        self.spills = spills
        self.board = board
        self.left_out: Tables = {} if left_out is None else left_out
        self.beside: Mapping[str, ReshardTable] = {} if beside is None else beside

    def everything(self, layer: str) -> tuple[Choice, ...]:
        """Return all probed candidates of a layer: those of its table, then those left out."""
        return (*self.tables[layer], *self.left_out.get(layer, ()))

    @cached_property
    def layouts(self) -> tuple[TensorLayout, ...]:
        """Every layout that occurs, numbered by place."""
        found: dict[TensorLayout, None] = {}
        for name in self.tables:
            for choice in self.everything(name):
                found.update(dict.fromkeys((*choice.layouts, in_dram(choice.output_layout))))
        for _, table in self._reshard_tables():
            for pair in (*table.times_us, *table.impossible):
                found.update(dict.fromkeys(pair))
        return tuple(found)

    @cached_property
    def problem(self) -> solver.Problem:
        """The problem of the tables in the solver's integers, as probed."""
        number = {layer.name: index for index, layer in enumerate(self.network)}
        return solver.Problem(
            layers=tuple(self._layer(layer, number) for layer in self.network),
            layout_bytes=tuple(layout.shard_bytes for layout in self.layouts),
            capacity_bytes=self.board.l1_bank_bytes,
            describe=self._described,
        )

    def _layer(self, layer: Layer, number: Mapping[str, int]) -> solver.LayerTable:
        spills = self.spills.get(layer.name)
        return solver.LayerTable(
            name=layer.name,
            producers=tuple(number[name] for name in layer.inputs),
            candidates=tuple(
                self._candidate(layer, index, choice, choice.time_us)
                for index, choice in enumerate(self.tables[layer.name])
            ),
            reshards=tuple(
                self._numbered(self.reshards[Edge(name, layer.name, index)].times_us)
                for index, name in enumerate(layer.inputs)
            ),
            moves={} if spills is None else self._numbered(spills.times_us),
        )

    @cached_property
    def bounding_problem(self) -> solver.Problem:
        """A problem that no schedule of anything probed beats, in this order of the layers.

        It also has the candidates that the tables leave out, after the others. Each takes the least
        time that it can take, wherever its tensors lie, and so does each reshard: none where nobody
        has asked for it.
        """
        return self._bounding(self.spills)

    @cached_property
    def any_order_problem(self) -> solver.Problem:
        """A problem that no schedule of anything probed beats, in whatever order of the layers.

        A layout beyond ``layouts`` is that of a tensor which was left in the one as far before the
        end of them, and spilled.
        """
        return in_any_order(self._bounding(self.tables))

    def _bounding(self, may_wait: Container[str]) -> solver.Problem:
        asked = {shape: self._numbered(times) for shape, times in self._asked.items()}
        layers = []
        for layer, probed in zip(self.network, self.problem.layers, strict=True):
            candidates = tuple(
                self._candidate(layer, index, choice, choice.least_us)
                for index, choice in enumerate(self.everything(layer.name))
            )
            shapes = [self.network.by_name[name].shape for name in layer.inputs]
            reshards = tuple(partial(_least_us, asked.get(shape, {})) for shape in shapes)
            moves = (
                self._least_spills(layer, asked.get(layer.shape, {}))
                if layer.name in may_wait
                else {}
            )
            layers.append(replace(probed, candidates=candidates, reshards=reshards, moves=moves))
        return replace(self.problem, layers=tuple(layers))

    def _described(self, layer: int, candidate: int) -> str:
        choice = self.everything(self.network.layers[layer].name)[candidate]
        inputs = " and ".join(map(str, choice.input_layouts))
        return f"reading {inputs}, writing {choice.output_layout}, it"

    @cached_property
    def _place(self) -> Mapping[TensorLayout, int]:
        return {layout: index for index, layout in enumerate(self.layouts)}

    def _candidate(
        self, layer: Layer, index: int, choice: Choice, time_us: float
    ) -> solver.Candidate:
        inputs = choice.input_layouts if layer.inputs else ()
        return solver.Candidate(
            time_us=time_us,
            input_layouts=tuple(self._place[layout] for layout in inputs),
            output_layout=self._place[choice.output_layout],
            cb_bytes=choice.scratch_bytes,
            payload=index,
            saved_bytes=choice.saved_by_freeing_bytes,
        )

    def _numbered(self, times_us: Mapping[LayoutChange, float]) -> dict[tuple[int, int], float]:
        place = self._place
        return {
            (place[source], place[target]): time_us
            for (source, target), time_us in times_us.items()
        }

    @cached_property
    def _asked(self) -> Mapping[TensorShape, Mapping[LayoutChange, float]]:
        """Times in us of every reshard and spill asked for, by shape; infinite if impossible."""
        found: dict[TensorShape, dict[LayoutChange, float]] = {}
        for shape, table in self._reshard_tables():
            times_us = found.setdefault(shape, {})
            times_us.update(dict.fromkeys(table.impossible, math.inf))
            times_us.update(table.times_us)
        return found

    def _reshard_tables(self) -> Iterator[tuple[TensorShape, ReshardTable]]:
        by_edge = ((edge.producer, table) for edge, table in self.reshards.items())
        for name, table in (*by_edge, *self.spills.items(), *self.beside.items()):
            yield self.network.by_name[name].shape, table

    @cached_property
    def _measured(self) -> frozenset[tuple[TensorShape, LayoutChange]]:
        return frozenset(
            (shape, pair) for shape, table in self._reshard_tables() for pair in table.measured
        )

    @property
    def kinds(self) -> frozenset[TimeKind]:
        """Where the times of everything probed are from."""
        choices = {choice.kind for name in self.tables for choice in self.everything(name)}
        tables = [table for _, table in self._reshard_tables()]
        return frozenset(choices.union(*(map(item.kind, item.times_us) for item in tables)))

    def reshard_kind(self, producer: Layer, pair: LayoutChange) -> TimeKind:
        """Return where the time is from in which a layer's output is resharded or spilled."""
        known = (producer.shape, pair) in self._measured
        return TimeKind.MEASURED if known else TimeKind.ESTIMATED

    def is_asked(self, producer: Layer, pair: LayoutChange) -> bool:
        """Whether the device was asked to bring a layer's output from a layout into another."""
        return pair in self._asked.get(producer.shape, {})

    def pair(self, source: int, target: int) -> LayoutChange:
        """Return the layouts of a step of either bounding problem.

        A tensor of the any-order problem that has been spilled is read from where it was left or
        from DRAM; this is the latter.
        """
        count = len(self.layouts)
        if target >= count:
            return self.layouts[source], in_dram(self.layouts[source])
        if source >= count:
            return in_dram(self.layouts[source - count]), self.layouts[target]
        return self.layouts[source], self.layouts[target]

    def _least_spills(
        self, layer: Layer, asked: Mapping[tuple[int, int], float]
    ) -> dict[tuple[int, int], float]:
        """Return the least times in which a layer's output can be spilled."""
        pairs = [
            (self._place[layout], self._place[in_dram(layout)])
            for layout in distinct(c.output_layout for c in self.everything(layer.name))
            if layout.memory is Memory.L1
        ]
        least = {pair: asked.get(pair, 0.0) for pair in pairs}
        return {pair: time_us for pair, time_us in least.items() if time_us < math.inf}

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
        frees: set[str] = set()
        buffers = SharedBuffers(self.network)
        for layer in self.network:
            choice = chosen[layer.name]
            for index, producer in enumerate(layer.inputs):
                if waiting[producer] != choice.input_layouts[index]:
                    reshards[Edge(producer, layer.name, index)] = choice.input_layouts[index]
            buffers.add(layer, choice, reshards)
            if frees_input(layer, choice, reshards, buffers):
                frees.add(layer.name)
            for name in (*dict.fromkeys(layer.inputs), layer.name):
                edge = Edge(name, layer.name)
                if edge in selection.spills and waiting[name].memory is Memory.L1:
                    moves[edge] = waiting[name] = in_dram(waiting[name])
        layers = {layer.name: chosen[layer.name].config for layer in self.network}
        return Schedule(provenance, layers, reshards, moves, frozenset(frees))

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


def _least_us(asked: Mapping[tuple[int, int], float], source: int, target: int) -> float:
    """Return the least time of any reshard: nothing is known of one that nobody asked for."""
    return asked.get((source, target), 0.0)


def spill_edges(joint: JointProblem) -> list[Edge]:
    """Return where a tensor that still has a reader may be moved to DRAM."""
    position = {layer.name: index for index, layer in enumerate(joint.network)}
    readers: dict[str, list[str]] = {}
    for edge in joint.network.edges:
        readers.setdefault(edge.producer, []).append(edge.consumer)
    places = []
    for name in joint.spills:
        last = max(readers.get(name, [name]), key=position.__getitem__)
        steps = dict.fromkeys([name, *readers.get(name, [])])
        places += [Edge(name, step) for step in steps if step != last]
    return places


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


def frees_input(
    layer: Layer, choice: Choice, reshards: Mapping[Edge, TensorLayout], buffers: SharedBuffers
) -> bool:
    """Whether a layer can free its first input early, and has nobody else who reads it."""
    if not isinstance(choice.config, Conv2dConfig | PoolConfig):
        return False
    return Edge(layer.inputs[0], layer.name) in reshards or (
        choice.input_layouts[0].memory is Memory.L1 and buffers.is_last_reader(layer)
    )
