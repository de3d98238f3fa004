"""Schedules by rule: the greedy compiler's, and height sharding wherever it is legal.

They choose from the same probed tables as the search and never look at a time: among candidates
with the same layouts the one with the fewest switches set by hand stands for all, as a compiler
would hand it to ttnn. A step that does not fit in L1 first spills the waiting tensor that is used
last of all. A candidate that does not fit even so, or that the device rejects, makes way for the
next one by rank; a layer that has none left falls back to DRAM: its inputs are brought there, ttnn
decides how it runs, and its output stays there.
"""

from dataclasses import dataclass

from autosched.network.graph import Input, Layer, Network
from autosched.schedule import (
    Edge,
    PageLayout,
    Provenance,
    Rejection,
    Schedule,
    TensorLayout,
)
from autosched.search.baselines.beam import RuleBeam
from autosched.search.baselines.ranking import Rank, compiler_rank, height_rank, plainness
from autosched.search.baselines.spilling import farthest, overflow
from autosched.search.choice import Choice
from autosched.search.joint import JointProblem, Selection
from autosched.search.repair import failing_layer
from autosched.space.defaults import default_config
from autosched.space.formats import LayerFormats


@dataclass(frozen=True)
class Rule:
    """One baseline: its name, what it does in a line, and its order of preference."""

    name: str
    title: str
    rank: Rank


RULES = {
    rule.name: rule
    for rule in (
        Rule("height", "height sharding wherever it is legal", height_rank),
        Rule("greedy", "a compiler's rule-ranked beam with spills", compiler_rank),
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
