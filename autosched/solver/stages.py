"""A problem compiled into stages of numpy tables, in execution order.

A stage is one decision: which candidate a layer runs with, or where a live tensor moves. Between
stages stands the frontier: a *column* for each live tensor, whose code numbers the layouts that
tensor can have, and one for each learned constraint under way (1: all its choices so far were
made). Whatever is still to be decided depends on earlier choices through these columns only, which
makes a dynamic program over them exact (variable elimination along the execution order).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosched.solver.problem import Candidate, LayerTable, Nogood, Problem, is_live

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int16]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Column:
    """What a frontier column stands for.

    ``tensor`` is -1 for a learned constraint. ``layouts`` and ``sizes`` (bytes per core) are by
    code; a constraint has two codes of no size.
    """

    tensor: int
    layouts: tuple[int, ...]
    sizes: Ints


@dataclass(frozen=True, eq=False)
class InputTables:
    """One input of a layer, by code of its tensor and by candidate: shape (layouts, candidates).

    ``added_bytes`` is the copy a reshard makes, ``freed_bytes`` what goes after it when nothing
    else reads the original, ``saved_bytes`` what the layer saves by freeing its copy early (None:
    nothing beside what ``RunStage.run_bytes`` knows).
    """

    slot: int
    time_us: Floats
    added_bytes: Ints
    freed_bytes: Ints
    saved_bytes: Ints | None = None


@dataclass(frozen=True, eq=False)
class Watch:
    """A learned constraint at one of its layers.

    ``member`` marks the candidates that it names, all where it names none of this layer;
    ``waiting`` has (slot, code) of the layouts that tensors have to wait in. ``slot`` is its column
    before the stage, None at its first layer; ``last`` tells that choosing a member now would
    complete it.
    """

    slot: int | None
    member: Flags
    waiting: tuple[tuple[int, int], ...]
    last: bool


@dataclass(frozen=True)
class _Condition:
    """What a learned constraint says of one layer's step: its candidate, and (tensor, layout)."""

    candidate: int | None
    waiting: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class RunStage:
    """The choice of a layer's candidate. Arrays are by candidate unless said otherwise.

    ``columns`` are the frontier's before the stage; ``kept`` are the slots that stay, ``dead`` the
    tensors that end here. The frontier after it has the kept columns, then the output if anything
    reads it, then the constraints that begin here.
    """

    layer: int
    columns: tuple[Column, ...]
    candidates: tuple[int, ...]
    time_us: Floats
    output_bytes: Ints
    run_bytes: Ints
    output_code: Codes | None
    output_column: Column | None
    inputs: tuple[InputTables, ...]
    kept: tuple[int, ...]
    dead: tuple[int, ...]
    watches: tuple[Watch, ...]

    @property
    def input_slots(self) -> tuple[int, ...]:
        """Slots of the tensors it reads, each once."""
        return tuple(dict.fromkeys(tables.slot for tables in self.inputs))


@dataclass(frozen=True, eq=False)
class MoveStage:
    """The choice of a live tensor's layout after layer ``after``; ``time_us`` is (from, to)."""

    after: int
    slot: int
    columns: tuple[Column, ...]
    time_us: Floats


Stage = RunStage | MoveStage

InputCache = dict[tuple[int, int], "InputTables"]
"""Tables by layer and number of the input; their slot is that of one compilation."""


def compile_stages(
    problem: Problem, keep: int = 1, cache: InputCache | None = None
) -> tuple[Stage, ...]:
    """Turn a problem into stages whose dynamic program finds its ``keep`` best choices.

    A ``cache`` may be handed to compilations of problems that differ in their learned constraints
    only, if ``keep`` is large enough for all candidates to stay.
    """
    return _Compiler(problem, keep, {} if cache is None else cache).stages()


def retimed(stages: Sequence[Stage], times_us: Sequence[Floats]) -> tuple[Stage, ...]:
    """Return the stages with other times: one array for each layer, by candidate.

    They must have been compiled with all candidates, because other times dominate others.
    """
    return tuple(
        replace(stage, time_us=times_us[stage.layer][list(stage.candidates)])
        if isinstance(stage, RunStage)
        else stage
        for stage in stages
    )


class _Compiler:
    def __init__(self, problem: Problem, keep: int, cache: InputCache) -> None:
        self.problem = problem
        self.cache = cache
        self.kept = undominated_candidates(problem, keep)
        self.sizes = np.array(problem.layout_bytes, dtype=np.int64)
        self.place = {layer: step for step, layer in enumerate(problem.order)}
        self.tensors = [self._column(index) for index in range(len(problem.layers))]
        possible = [nogood for nogood in problem.nogoods if self._can_hold(nogood)]
        self.nogoods = [self._by_layer(nogood) for nogood in possible]
        self.flags = [Column(-1, (0, 1), np.zeros(2, dtype=np.int64)) for _ in possible]
        self.frontier: list[Column] = []

    def stages(self) -> tuple[Stage, ...]:
        return tuple(stage for layer in self.problem.order for stage in self._stages_of(layer))

    def _can_hold(self, nogood: Nogood) -> bool:
        return all(
            is_live(self.problem, self.place, item.tensor, item.at)
            and item.layout in self.tensors[item.tensor].layouts
            for item in nogood.waiting
        )

    def _by_layer(self, nogood: Nogood) -> dict[int, _Condition]:
        """Return what a constraint says of each step that it is about, in execution order."""
        chosen = dict(nogood.chosen)
        layers = {*chosen, *(item.at for item in nogood.waiting)}
        return {
            layer: _Condition(
                chosen.get(layer),
                tuple((item.tensor, item.layout) for item in nogood.waiting if item.at == layer),
            )
            for layer in sorted(layers, key=self.place.__getitem__)
        }

    def _column(self, index: int) -> Column:
        layer = self.problem.layers[index]
        layouts = {layer.candidates[number].output_layout for number in self.kept[index]}
        reached: set[int] = set()
        while reached != layouts:
            reached = set(layouts)
            layouts |= {target for source, target in layer.moves if source in reached}
        ordered = tuple(sorted(layouts))
        return Column(index, ordered, self.sizes[list(ordered)])

    def _stages_of(self, index: int) -> Iterable[Stage]:
        run = self._run_stage(index)
        begun = [
            flag
            for flag, nogood in zip(self.flags, self.nogoods, strict=True)
            if next(iter(nogood)) == index and len(nogood) > 1
        ]
        output = [] if run.output_column is None else [run.output_column]
        self.frontier = [self.frontier[slot] for slot in run.kept] + output + begun
        yield run
        layers = {*self.problem.layers[index].producers, index}
        for tensor in sorted(layers):
            column = self.tensors[tensor]
            if self._is_live(column) and self.problem.layers[tensor].moves:
                times = _move_table(self.problem.layers[tensor], column.layouts)
                yield MoveStage(index, self._slot(column), tuple(self.frontier), times)

    def _is_live(self, column: Column) -> bool:
        return any(item is column for item in self.frontier)

    def _slot(self, column: Column) -> int:
        return next(slot for slot, item in enumerate(self.frontier) if item is column)

    def _run_stage(self, index: int) -> RunStage:
        layer = self.problem.layers[index]
        table = [layer.candidates[number] for number in self.kept[index]]
        outputs = [candidate.output_layout for candidate in table]
        output_bytes = self.sizes[outputs]
        run_bytes = output_bytes + np.array([item.cb_bytes for item in table], dtype=np.int64)
        if self._ends_first_input(index):
            run_bytes -= _saved_bytes(table)
        column = self.tensors[index] if self.problem.consumers[index] else None
        dead = self._dead_slots(index)
        ended = {
            self._slot(flag)
            for flag, nogood in zip(self.flags, self.nogoods, strict=True)
            if len(nogood) > 1 and [*nogood][-1] == index
        }
        gone = ended.union(dead)
        return RunStage(
            layer=index,
            columns=tuple(self.frontier),
            candidates=self.kept[index],
            time_us=np.array([candidate.time_us for candidate in table]),
            output_bytes=output_bytes,
            run_bytes=run_bytes,
            output_code=None if column is None else _codes(outputs, column.layouts),
            output_column=column,
            inputs=self._input_tables(index, table),
            kept=tuple(slot for slot in range(len(self.frontier)) if slot not in gone),
            dead=dead,
            watches=tuple(self._watches(index)),
        )

    def _ends_first_input(self, index: int) -> bool:
        """Whether a layer is the last to read its first input, and so may free it early."""
        producers = self.problem.layers[index].producers
        return bool(producers) and self.problem.consumers[producers[0]][-1] == index

    def _dead_slots(self, index: int) -> tuple[int, ...]:
        producers = dict.fromkeys(self.problem.layers[index].producers)
        return tuple(
            self._slot(self.tensors[producer])
            for producer in producers
            if self.problem.consumers[producer][-1] == index
        )

    def _watches(self, index: int) -> Iterable[Watch]:
        for flag, nogood in zip(self.flags, self.nogoods, strict=True):
            if index in nogood:
                layers = list(nogood)
                named = nogood[index].candidate
                member = np.array([named in (None, number) for number in self.kept[index]])
                waiting = tuple(
                    (self._slot(column), column.layouts.index(layout))
                    for tensor, layout in nogood[index].waiting
                    for column in [self.tensors[tensor]]
                )
                slot = None if layers[0] == index else self._slot(flag)
                yield Watch(slot, member, waiting, layers[-1] == index)

    def _input_tables(self, index: int, table: Sequence[Candidate]) -> tuple[InputTables, ...]:
        producers = self.problem.layers[index].producers
        if producers and (index, 0) not in self.cache:
            self._fill_cache(index, table)
        return tuple(
            replace(self.cache[index, number], slot=self._slot(self.tensors[producer]))
            for number, producer in enumerate(producers)
        )

    def _fill_cache(self, index: int, table: Sequence[Candidate]) -> None:
        producers = self.problem.layers[index].producers
        wanted = np.array([candidate.input_layouts for candidate in table], dtype=np.int64)
        wanted = wanted.reshape(len(table), len(producers))
        differs: dict[int, Any] = defaultdict(lambda: True)
        for number, producer in enumerate(producers):
            column = self.tensors[producer]
            targets = wanted[:, number]
            resharded = np.array(column.layouts)[:, None] != targets[None, :]
            differs[producer] = resharded & differs[producer]
            ends = (
                self.problem.consumers[producer][-1] == index
                and producer not in producers[number + 1 :]
            )
            self.cache[index, number] = InputTables(
                slot=-1,
                time_us=self._reshard_table(index, number, column.layouts, targets),
                added_bytes=np.where(resharded, self.sizes[targets][None, :], 0),
                freed_bytes=np.where(differs[producer] & ends, column.sizes[:, None], 0),
                saved_bytes=None
                if number or self._ends_first_input(index)
                else np.where(resharded, _saved_bytes(table)[None, :], 0),
            )

    def _reshard_table(
        self, index: int, number: int, sources: Sequence[int], targets: Ints
    ) -> Floats:
        layer = self.problem.layers[index]
        distinct, where = np.unique(targets, return_inverse=True)
        times = np.array(
            [
                [layer.reshard_us(number, source, target) for target in distinct.tolist()]
                for source in sources
            ]
        )
        return times[:, where]


def _saved_bytes(table: Sequence[Candidate]) -> Ints:
    return np.array([candidate.saved_bytes for candidate in table], dtype=np.int64)


def _codes(layouts: Sequence[int], known: Sequence[int]) -> Codes:
    place = {layout: code for code, layout in enumerate(known)}
    return np.array([place[layout] for layout in layouts], dtype=np.int16)


def _move_table(layer: LayerTable, layouts: Sequence[int]) -> Floats:
    """Times between all layouts of a tensor; staying is free."""
    times = np.full((len(layouts), len(layouts)), np.inf)
    place = {layout: code for code, layout in enumerate(layouts)}
    for (source, target), time_us in layer.moves.items():
        if source in place:
            times[place[source], place[target]] = time_us
    np.fill_diagonal(times, 0.0)
    return times


def undominated_candidates(problem: Problem, keep: int = 1) -> tuple[tuple[int, ...], ...]:
    """Return the candidates of each layer that can still matter.

    A candidate goes only if ``keep`` others dominate it, so the ``keep`` best joint choices cost
    the same without it. One that occurs in a learned constraint dominates nothing, because the
    swap may be forbidden where the original is not; where tensors wait does not change with it.
    Pinned candidates stay.
    """
    suspects: dict[int, set[int]] = defaultdict(set)
    for nogood in problem.nogoods:
        for layer, chosen in nogood.chosen:
            suspects[layer].add(chosen)
    return tuple(
        _undominated_of(layer, suspects[index], keep) for index, layer in enumerate(problem.layers)
    )


def _undominated_of(layer: LayerTable, suspects: set[int], keep: int) -> tuple[int, ...]:
    table = layer.candidates
    needs = [(item.cb_bytes, item.cb_bytes - item.saved_bytes) for item in table]
    by_time = sorted(layer.allowed, key=lambda i: (table[i].time_us, *needs[i], i))
    seen: dict[tuple[tuple[int, ...], int], list[tuple[int, int]]] = defaultdict(list)
    kept = []
    for index in by_time:
        candidate = table[index]
        not_slower = seen[candidate.input_layouts, candidate.output_layout]
        staying, freeing = needs[index]
        if sum(a <= staying and b <= freeing for a, b in not_slower) >= keep:
            continue
        kept.append(index)
        if index not in suspects:
            not_slower.append(needs[index])
    return tuple(sorted(kept))
