"""What can be chosen for each layer of a network, as the device answered.

The tables are built in execution order. Convolutions bring their own layouts; every other layer
is asked in the layouts that the tensors around it can have. What another candidate beats in time
and L1 with the same layouts is dropped. Of the layouts that are left, the best go to the joint
search; the others are kept beside, for the bound.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property

from autosched.boards import Board
from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.network.left_layouts import is_image
from autosched.network.operators import Convolution, Input, Linear, Pool2d
from autosched.probing.candidates import (
    Asking,
    Choice,
    Given,
    LayerQuestions,
    ProbedTables,
    Tables,
    ask_together,
    offered,
    undominated,
)
from autosched.probing.convolution_stages import ConvolutionStages
from autosched.probing.dead_ends import nothing_left
from autosched.probing.given_schedules import known_choices
from autosched.probing.probe_book import LayerProgress, ProbeBook, Probed, reshard_signature
from autosched.probing.reshard_tables import distinct, reshard_shapes
from autosched.probing.restrictions import Restriction, allowed, check_effect
from autosched.schedule.configurations import Conv2dConfig, PoolConfig
from autosched.schedule.outcomes import Rejection
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import STICK, PageLayout, ShardLayout, TensorLayout
from autosched.space.efforts import Effort
from autosched.space.layer_formats import LayerFormats
from autosched.space.layers import dealt_products, options, sliced_pools

# Combinations of layouts with rows that are kept beside those of tiles, for each of these.
_KEPT_IN_ROWS = 0.5

Split = tuple[tuple[Choice, ...], tuple[Choice, ...]]
"""The candidates that are kept, fastest first, and those that are left out."""
Timing = Callable[[Layer, Choice], Choice | None]
"""Returns a candidate with the time that counts, None if the device rejects it after all."""


class TableBuilder:
    """Builds the tables of one network from probes.

    With ``measured``, the probes of ``book`` (the mock device's) only rank the candidates, and the
    best are measured on the card: there each new kernel costs a second to compile. What is left out
    keeps its estimated time. What the schedules in ``known`` chose is always among the candidates,
    unless the ``rules`` forbid it; a layer of which nothing else is accepted has that alone.
    """

    def __init__(  # noqa: PLR0913 - what the tables are of, and who answers
        self,
        network: Network,
        formats: LayerFormats,
        board: Board,
        effort: Effort,
        book: ProbeBook,
        measured: ProbeBook | None = None,
        *,
        known: Sequence[Schedule] = (),
        rules: Sequence[Restriction] = (),
    ) -> None:
        self._network = network
        self._formats = formats
        self.questions = LayerQuestions(
            network, formats, book, measured, row_channels=effort.row_channels
        )
        self._board = board
        self._effort = effort
        self._book = book
        self._measured = measured
        self._known = known
        self._rules = rules

    def build(self, progress: LayerProgress) -> ProbedTables:
        """Probe every layer and return its candidates.

        Raises:
            SearchError: if a layer has no candidate that the device accepts and the rules leave.
        """
        network = self._network
        self._load_stored()
        tables: dict[str, tuple[Choice, ...]] = {}
        left_out: dict[str, tuple[Choice, ...]] = {}
        convolutions = [layer for layer in network if isinstance(layer.op, Convolution)]
        others = [layer for layer in network if not isinstance(layer.op, Convolution)]
        alike = _alike(convolutions, self._convolution_key)
        self._probe(alike, self._convolution, tables, left_out, progress)
        while others:
            # A layer is asked in the layouts that its inputs can have.
            ready = [layer for layer in others if tables.keys() >= {*layer.inputs}]
            self._probe([[layer] for layer in ready], self._other, tables, left_out, progress)
            others = [layer for layer in others if layer.name not in tables]
        for name, choices in self._known_choices.items():
            for choice in choices:
                if all(rule.leaves(choice) for rule in self._rules_of(name)):
                    left = offered([*tables[name], choice], self._effort)
                    tables[name] = joined([other for other in left if other is not choice], choice)
        check_effect(self._rules, tables)
        return ProbedTables(
            {layer.name: tables[layer.name] for layer in network},
            {
                layer.name: undominated(left_out[layer.name], tables[layer.name])
                for layer in network
            },
        )

    def of_convolutions(self, layers: Iterable[Layer], progress: LayerProgress) -> Tables:
        """Probe some convolutions alone; of those with no candidate there is nothing."""
        tables: dict[str, tuple[Choice, ...]] = {}
        found = [layer for layer in layers if isinstance(layer.op, Convolution)]
        alike = _alike(found, self._convolution_key)
        self._probe(alike, self._convolution_if_any, tables, {}, progress)
        return tables

    def _convolution_if_any(self, layer: Layer, tables: Tables) -> Asking[Split]:
        try:
            return (yield from self._convolution(layer, tables))
        except SearchError:
            return (), ()

    def _load_stored(self) -> None:
        """Read what is known of the network's layers and reshards, at once."""
        signatures = [self._network.layer_signature(layer) for layer in self._network]
        shapes = reshard_shapes(self._network)
        self._book.load([*signatures, *map(reshard_signature, shapes)])
        if self._measured is not None:
            self._measured.load(signatures)

    @cached_property
    def _known_choices(self) -> Mapping[str, Sequence[Choice]]:
        """What the known schedules chose for each layer, as far as the device accepts it alone."""
        found: dict[str, list[Choice]] = {}
        for schedule in self._known:
            for name, choice in known_choices(self._network, schedule, self.questions.answered):
                found.setdefault(name, []).append(choice)
        return found

    def _rules_of(self, name: str) -> tuple[Restriction, ...]:
        return tuple(rule for rule in self._rules if rule.names(name))

    def _probe(
        self,
        groups: Sequence[Sequence[Layer]],
        asking: Callable[[Layer, Tables], Asking[Split]],
        tables: dict[str, tuple[Choice, ...]],
        left_out: dict[str, tuple[Choice, ...]],
        progress: LayerProgress,
    ) -> None:
        """Add the tables of layers that do not depend on each other; a group shares one table."""
        total = len(self._network.layers)
        askings = ((number, asking(group[0], tables)) for number, group in enumerate(groups))
        for number, (kept, rest) in ask_together(
            self._book, askings, lambda number: progress(groups[number][0], len(tables), total)
        ):
            tables.update((layer.name, kept) for layer in groups[number])
            left_out.update((layer.name, rest) for layer in groups[number])

    def _convolution_key(self, layer: Layer) -> tuple[object, ...]:
        """Return what the table of a convolution depends on."""
        signature = self._network.layer_signature(layer)
        rules = self._rules_of(layer.name)
        return (
            signature,
            self.questions.source(layer),
            self.questions.may_come_in_rows(layer),
            self.questions.may_come_in_filled_rows(layer),
            self.questions.may_leave_rows(layer),
            self.questions.conv2d_base(layer),
            rules,
        )

    def _convolution(self, layer: Layer, _tables: Tables) -> Asking[Split]:
        rules = self._rules_of(layer.name)
        stages = ConvolutionStages(self.questions, self._board, self._effort, layer, rules)
        found, answers = yield from stages.answers()
        return self._selected(layer, found, answers)

    def _other(self, layer: Layer, tables: Tables) -> Asking[Split]:
        sources = [
            distinct(choice.output_layout for choice in tables[name]) for name in layer.inputs
        ]
        answers: Given = []
        asked = options(layer, self._formats, sources, self._wanted(layer, tables))
        found = yield from self.questions.accepted(layer, asked, answers)
        if isinstance(layer.op, Pool2d) and not any(c.output_layout.is_sharded for c in found):
            # An image that fits L1 in slices only.
            output_dtype = self._formats.output_dtype(layer)
            base = PoolConfig(output_dtype=output_dtype, reallocate_halo_output=True)
            sliced = sliced_pools(base, self.questions.source(layer), self._effort)
            found += yield from self.questions.accepted(layer, sliced, answers)
        if isinstance(layer.op, Linear):
            dealt = dealt_products(layer, self._formats, sources[0], self._board, self._effort)
            found += yield from self.questions.accepted(layer, dealt, answers)
        return self._selected(layer, found, answers)

    def _wanted(self, layer: Layer, tables: Tables) -> list[TensorLayout]:
        """Return the layouts in which the convolutions after a layer take its output.

        An image that comes in with channels filled up is of use to convolutions alone: where others
        read it, too, it is asked for in no layout of theirs.
        """
        edges = [edge for edge in self._network.edges if edge.producer == layer.name]
        convolved = [
            edge
            for edge in edges
            if isinstance(self._network.by_name[edge.consumer].op, Convolution)
        ]
        if len(convolved) < len(edges) and _comes_in_filled_up(layer):
            return []
        return distinct(
            choice.input_layouts[edge.index]
            for edge in convolved
            for choice in tables[edge.consumer]
        )

    def _selected(
        self, layer: Layer, found: Sequence[Choice], answers: Sequence[Probed | Rejection]
    ) -> Split:
        kept = self._effort.kept_layouts
        found = found or self._known_choices.get(layer.name, ())
        executed = offered(found, self._effort)
        if len(executed) < len(found):
            signature = self._network.layer_signature(layer)
            left = (choice for choice in found if not choice.is_executed)
            self._book.leave_out(
                (signature, choice.config, choice.input_layouts) for choice in left
            )
        if not executed:
            raise SearchError(nothing_left(layer, answers, self._network.batch))
        return selected(layer, executed, self._rules, kept, self.questions.timed)


def _comes_in_filled_up(layer: Layer) -> bool:
    return isinstance(layer.op, Input) and is_image(layer.shape) and layer.shape[1] % STICK != 0


def _alike(layers: Iterable[Layer], key: Callable[[Layer], Hashable]) -> list[list[Layer]]:
    """Return the layers in groups of equal key."""
    groups: dict[Hashable, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(key(layer), []).append(layer)
    return list(groups.values())


def selected(
    layer: Layer,
    found: Sequence[Choice],
    rules: Sequence[Restriction],
    kept_layouts: int,
    timed: Timing,
) -> Split:
    """Return what neighbours may still want, the undominated of the best layouts; and the rest.

    Raises:
        SearchError: if the card rejects everything.
    """
    legal = allowed(rules, layer.name, found)
    chosen = _of_the_best_layouts(undominated(legal), kept_layouts)
    counted = [item for item in (timed(layer, choice) for choice in chosen) if item]
    if not counted:
        raise SearchError(
            f"layer {layer.name}: the card rejects all {len(chosen)} candidates that the mock "
            "device accepts; 'autosched doctor' checks that both run the same ttnn"
        )
    counted.sort(key=lambda choice: choice.time_us)
    taken = set(map(id, chosen))
    # What a kept one dominated by its estimate, its time on the card may not.
    rest = (choice for choice in legal if id(choice) not in taken)
    return tuple(counted), undominated(rest, counted)


def joined(choices: Sequence[Choice], known: Choice) -> tuple[Choice, ...]:
    """Return the candidates of a layer with a known one, fastest first, without the dominated."""
    if any(choice.dominates(known) for choice in choices):
        return tuple(choices)
    left = [choice for choice in choices if not known.dominates(choice)]
    return tuple(sorted([*left, known], key=lambda choice: choice.time_us))


def _of_the_best_layouts(choices: Sequence[Choice], kept_layouts: int) -> list[Choice]:
    """Return the candidates of the fastest combinations of layouts, and of each sharding's best.

    Convolutions that take or leave rows, and pools that leave them, displace none of tiles, which
    more layers leave and take.
    """
    groups: dict[tuple[TensorLayout, ...], list[Choice]] = {}
    for choice in choices:
        groups.setdefault(choice.layouts, []).append(choice)
    ranked, of_rows = list(groups.values()), []
    if any(_are_height_shards(group, PageLayout.TILE, all) for group in ranked):
        of_rows = [
            group for group in ranked if _are_height_shards(group, PageLayout.ROW_MAJOR, any)
        ]
        ranked = [group for group in ranked if group not in of_rows]
    kept = ranked[:kept_layouts]
    places = {_place(group) for group in kept}
    for group in ranked[len(kept) :]:
        if _place(group) not in places:
            places.add(_place(group))
            kept.append(group)
    rows = of_rows[: math.ceil(_KEPT_IN_ROWS * kept_layouts)]
    return [choice for group in [*kept, *rows] for choice in group]


def _are_height_shards(
    group: Sequence[Choice], page: PageLayout, of: Callable[[Iterable[bool]], bool]
) -> bool:
    """Return whether convolutions' inputs and outputs, or pools' outputs, are such height shards.

    ``of`` is ``all`` or ``any``.
    """
    first = group[0]
    match first.config:
        case PoolConfig():
            lies: tuple[TensorLayout, ...] = (first.output_layout,)
        case Conv2dConfig():
            lies = first.layouts
        case _:
            return False
    return of(layout.sharding is ShardLayout.HEIGHT and layout.page is page for layout in lies)


def _place(group: Sequence[Choice]) -> tuple[ShardLayout, bool]:
    """Return how candidates with the same layouts are sharded, and whether their output is."""
    return group[0].sharding, group[0].output_layout.is_sharded
