"""Schedules by rule: the greedy compiler's, and height sharding wherever it is legal.

They choose from the same probed tables as the search and never look at a time: among candidates
with the same layouts the one with the fewest switches set by hand stands for all, as a compiler
would hand it to ttnn. A step that does not fit in L1 first spills the waiting tensor that is used
last of all. A candidate that does not fit even so, or that the device rejects, makes way for the
next one by rank; a layer that has none left falls back to DRAM: its inputs are brought there, ttnn
decides how it runs, and its output stays there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autosched.bench.rule_beam import Rank, RuleBeam, compiler_rank, height_rank, plainness
from autosched.network.graph import Layer, Network, failing_layer
from autosched.network.operators import Input
from autosched.probing.candidates import Choice
from autosched.probing.joint_problem import JointProblem, Selection
from autosched.schedule.outcomes import Rejection
from autosched.schedule.schedule import Provenance, Schedule
from autosched.schedule.tensors import Edge, Memory, PageLayout, TensorLayout
from autosched.solver.evaluate import Assignment, evaluate
from autosched.space.layer_formats import LayerFormats, default_config


@dataclass(frozen=True)
class RankingRule:
    """One baseline: its name, what it does in a line, and its order of preference."""

    name: str
    title: str
    rank: Rank


RANKING_RULES = {
    rule.name: rule
    for rule in (
        RankingRule("height", "height sharding wherever it is legal", height_rank),
        RankingRule("greedy", "a compiler's rule-ranked beam with spills", compiler_rank),
    )
}


class RuleBaseline:
    """Proposes one schedule by a rule, and another for each that the device rejects.

    ``joint`` has the tables with each layer's fallback to DRAM added as its last candidate.
    """

    def __init__(self, joint: JointProblem, formats: LayerFormats, rank: Rank) -> None:
        self.joint = with_fallbacks(joint, formats)
        self._beam = RuleBeam(joint.network, self.joint.tables, joint.reshards, rank)
        self._passed_over: dict[str, set[int]] = {layer.name: set() for layer in joint.network}
        self._selection = self._selected()

    def schedule(self, provenance: Provenance) -> Schedule:
        """Return the schedule as it stands."""
        return self.joint.schedule(self._selection, provenance)

    def reject(self, rejection: Rejection) -> bool:
        """Pass over the rejected layer's candidate; return whether anything was left to change.

        Where the layer is in DRAM already, what waits in L1 at its step is spilled.
        """
        name = failing_layer(self.joint.network, rejection)
        if name is None:
            return False
        chosen, spills = self._selection.candidates, self._selection.spills
        if self._pass_over(name, chosen[name]):
            self._selection = self._selected()
            return True
        spill = farthest(self.joint, chosen, spills, name)
        if spill is not None:
            self._selection = Selection(chosen, spills | {spill})
        return spill is not None

    def _pass_over(self, name: str, index: int) -> bool:
        """Take a candidate out, unless it is the last resort."""
        if index == len(self.joint.tables[name]) - 1:
            return False
        self._passed_over[name].add(index)
        return True

    def _selected(self) -> Selection:
        """Choose by rank, then spill and choose again until every step fits in L1."""
        chosen = self._choose()
        spills: frozenset[Edge] = frozenset()
        while (over := overflow(self.joint, chosen, spills)) is not None:
            spill = farthest(self.joint, chosen, spills, over.layer)
            if spill is not None:
                spills |= {spill}
            elif self._pass_over(over.layer, chosen[over.layer]):
                chosen, spills = self._choose(), frozenset()
            else:
                break
        return Selection(chosen, spills)

    def _choose(self) -> dict[str, int]:
        return self._beam.choose(
            {
                name: _plain(choices, self._passed_over[name])
                for name, choices in self.joint.tables.items()
            }
        )


def _plain(choices: tuple[Choice, ...], passed_over: set[int]) -> list[int]:
    """Return one candidate for each combination of layouts: the one with the fewest switches.

    The last resort, the last of them, counts only where nothing else is left.
    """
    best: dict[tuple[TensorLayout, ...], int] = {}
    for index, choice in enumerate(choices[:-1]):
        rival = best.get(choice.layouts)
        if index in passed_over:
            continue
        if rival is None or plainness(choice.config) < plainness(choices[rival].config):
            best[choice.layouts] = index
    return list(best.values()) or [len(choices) - 1]


def with_fallbacks(joint: JointProblem, formats: LayerFormats) -> JointProblem:
    """Return the problem with ttnn's own way through DRAM as each layer's last candidate.

    It has not been probed: its time and L1 need count as 0.
    """
    tables = {
        layer.name: (*joint.tables[layer.name], _fallback(joint.network, layer, formats))
        for layer in joint.network
    }
    return JointProblem(joint.network, tables, joint.reshards, joint.spills, joint.board)


def _fallback(network: Network, layer: Layer, formats: LayerFormats) -> Choice:
    return Choice(
        config=default_config(layer, formats),
        input_layouts=tuple(_in_dram(network.by_name[name], formats) for name in layer.inputs)
        or (TensorLayout(page=PageLayout.ROW_MAJOR),),
        output_layout=_in_dram(layer, formats),
        time_us=0.0,
        scratch_bytes=0,
        ops=(),
    )


def _in_dram(producer: Layer, formats: LayerFormats) -> TensorLayout:
    """Return the layout in which ttnn's default schedule hands a layer's output on."""
    is_image = isinstance(producer.op, Input) and len(producer.shape) == 4
    page = PageLayout.ROW_MAJOR if is_image else PageLayout.TILE
    return TensorLayout(dtype=formats.output_dtype(producer), page=page)


@dataclass(frozen=True)
class Overflow:
    """The first step that needs more L1 than there is, by how many bytes per core."""

    layer: str
    bytes: int


def overflow(
    joint: JointProblem, candidates: Mapping[str, int], spills: frozenset[Edge]
) -> Overflow | None:
    """Return the first step of a joint choice that does not fit, or None."""
    peaks = _walked(joint, candidates, spills).peak_bytes
    for layer, peak in zip(joint.network, peaks, strict=True):
        if peak > joint.board.l1_bank_bytes:
            return Overflow(layer.name, peak - joint.board.l1_bank_bytes)
    return None


def farthest(
    joint: JointProblem, candidates: Mapping[str, int], spills: frozenset[Edge], step: str
) -> Edge | None:
    """Return the spill of the tensor that waits in L1 at ``step`` and is used last of all.

    The tensor leaves as late as it can: right after the last layer before ``step`` that made or
    read it. None if nothing waits that could leave.
    """
    position = {layer.name: index for index, layer in enumerate(joint.network)}
    waiting = _waiting_in_l1(joint, candidates, spills, step)
    ranked = sorted(waiting, key=lambda edge: -_next_use(joint.network, edge, position, step))
    return next(iter(ranked), None)


def _waiting_in_l1(
    joint: JointProblem, candidates: Mapping[str, int], spills: frozenset[Edge], step: str
) -> Iterator[Edge]:
    """Yield the possible spill of each tensor that is live at ``step`` and not part of it."""
    position = {layer.name: index for index, layer in enumerate(joint.network)}
    now = position[step]
    for name in joint.spills:
        readers = [edge.consumer for edge in joint.network.edges if edge.producer == name]
        uses = [name, *sorted(readers, key=position.__getitem__)]
        is_live = position[name] < now < position[uses[-1]] and step not in uses
        is_spilled = any(edge.producer == name and position[edge.consumer] < now for edge in spills)
        layout = joint.tables[name][candidates[name]].output_layout
        if is_live and not is_spilled and _can_leave(joint, name, layout):
            yield Edge(name, max((use for use in uses if position[use] < now), key=position.get))  # type: ignore[arg-type]


def _can_leave(joint: JointProblem, name: str, layout: TensorLayout) -> bool:
    return any(source == layout for source, _ in joint.spills[name].times_us)


def _next_use(network: Network, spill: Edge, position: Mapping[str, int], step: str) -> int:
    return min(
        position[edge.consumer]
        for edge in network.edges
        if edge.producer == spill.producer and position[edge.consumer] > position[step]
    )


def _walked(
    joint: JointProblem, candidates: Mapping[str, int], spills: frozenset[Edge]
) -> Assignment:
    number = {layer.name: index for index, layer in enumerate(joint.network)}
    place = {layout: index for index, layout in enumerate(joint.layouts)}
    moves = {}
    for edge in spills:
        layout = joint.tables[edge.producer][candidates[edge.producer]].output_layout
        if layout.memory is Memory.L1:
            target = next(t for s, t in joint.spills[edge.producer].times_us if s == layout)
            moves[number[edge.consumer], number[edge.producer]] = place[target]
    return evaluate(joint.problem, [candidates[layer.name] for layer in joint.network], moves)
