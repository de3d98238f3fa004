"""What can be chosen for each layer of a network, as the device answered.

The tables are built in execution order. Convolutions bring their own layouts; every other layer
is asked in the layouts that the tensors around it can have. What another candidate beats in time
and L1 with the same layouts is dropped. Of the layouts that are left, the best go to the joint
search; the others are kept beside, for the bound.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from autosched.boards import Board
from autosched.device.interface import ProbeRequest
from autosched.errors import SearchError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Conv2d, Convolution, Input, Pool2d
from autosched.network.stem_folding import fold_stem
from autosched.probing.asking import Answers, Asking, ask_together
from autosched.probing.candidates import Choice, ProbedTables, Tables, choices_of, undominated
from autosched.probing.convolution_stages import REFINE_WITHIN, distinct_programs
from autosched.probing.given_schedules import known_choices
from autosched.probing.probe_book import Ask, LayerProgress, ProbeBook, Probed, reshard_signature
from autosched.probing.pruning import joined, nothing_left, place_of_group
from autosched.probing.reshard_tables import distinct, reshard_shapes
from autosched.probing.restrictions import Restriction, allowed, check_effect
from autosched.schedule.configurations import Conv2dConfig, PoolConfig
from autosched.schedule.outcomes import Rejection
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import PageLayout, ShardLayout, TensorLayout
from autosched.space.convolutions import (
    folded_structures,
    in_slices,
    rare_switches,
    refinements,
    slicings,
    structures,
)
from autosched.space.efforts import Effort
from autosched.space.formats import LayerFormats
from autosched.space.layers import Option, options, sliced_pools

_Split = tuple[tuple[Choice, ...], tuple[Choice, ...]]
"""The candidates that are kept, fastest first, and those that are left out."""


class TableBuilder:
    """Builds the tables of one network from probes.

    With ``measured``, the probes of ``book`` (the mock device's) only rank the candidates, and the
    best are measured on the card: there each new kernel costs a second to compile. What is left out
    keeps its estimated time. What the schedules in ``known`` chose is always among the candidates,
    unless the ``rules`` forbid it.
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
        for schedule in self._known:
            for name, choice in known_choices(network, schedule, self._asked):
                if all(rule.leaves(choice) for rule in self._rules_of(name)):
                    tables[name] = joined(tables[name], choice)
        check_effect(self._rules, tables)
        return ProbedTables(
            {layer.name: tables[layer.name] for layer in network},
            {
                layer.name: undominated(left_out[layer.name], tables[layer.name])
                for layer in network
            },
        )

    def timed(self, layer: Layer, choice: Choice) -> Choice | None:
        """Return a candidate with the time that counts, None if the card rejects it."""
        if self._measured is None:
            return choice
        return next(iter(self._asked(layer, Option(choice.config, choice.input_layouts))), None)

    def _load_stored(self) -> None:
        """Read what is known of the network's layers and reshards, at once."""
        signatures = [self._network.layer_signature(layer) for layer in self._network]
        shapes = reshard_shapes(self._network)
        self._book.load([*signatures, *map(reshard_signature, shapes)])
        if self._measured is not None:
            self._measured.load(signatures)

    def _rules_of(self, name: str) -> tuple[Restriction, ...]:
        return tuple(rule for rule in self._rules if rule.names(name))

    def source_layout(self, producer: Layer) -> TensorLayout:
        """Return the interleaved DRAM layout in which a layer's output may be handed on."""
        return self._formats.dram_layout(producer)

    def _probe(
        self,
        groups: Sequence[Sequence[Layer]],
        asking: Callable[[Layer, Tables], Asking[_Split]],
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

    def _base(self, layer: Layer) -> Conv2dConfig:
        return Conv2dConfig(
            weights_dtype=self._formats.weights_dtype(layer),
            output_dtype=self._formats.output_dtype(layer),
            compute=self._formats.compute(layer),
        )

    def _source(self, layer: Layer) -> TensorLayout:
        """Return the interleaved DRAM layout in which a layer's first input may come."""
        return self.source_layout(self._network.by_name[layer.inputs[0]])

    def _convolution_key(self, layer: Layer) -> tuple[object, ...]:
        """Return what the table of a convolution depends on."""
        signature = self._network.layer_signature(layer)
        return signature, self._source(layer), self._base(layer), self._rules_of(layer.name)

    def _convolution(self, layer: Layer, _tables: Tables) -> Asking[_Split]:
        assert isinstance(layer.op, Convolution)  # noqa: S101 - only called for convolutions
        base, source = self._base(layer), self._source(layer)
        answers: Answers = []
        asked = structures(layer.op, layer.shape, base, self._board, self._effort)
        native = [Option(config, None) for config in asked]
        found = yield from self._structured(layer, layer.op, native, answers)
        last_resorts = [in_slices(base)]
        stem = self._folded_op(layer)
        if stem is not None:
            folded = self._folded_options(layer, base, found)
            found += yield from self._structured(layer, stem, folded, answers)
            last_resorts.append(replace(in_slices(base), fold_input=True))
        # In native layouts: transposed shards want their input transposed, too.
        rare = [Option(config, None) for config in self._rare(layer.op, found)]
        found += yield from self._accepted(layer, rare, answers)
        # The last resort for an image that is too large for L1.
        sliced = [*last_resorts, *([] if found else slicings(base, self._effort))]
        in_dram = [Option(config, (source,)) for config in sliced]
        found += yield from self._accepted(layer, in_dram, answers)
        return self._selected(layer, found, answers)

    def _structured(
        self, layer: Layer, op: Convolution, asked: Sequence[Option], answers: Answers
    ) -> Asking[list[Choice]]:
        """Probe structures, then refinements of the promising ones; ``op`` is what ttnn runs."""
        found = yield from self._halo_moved(layer, asked, answers)
        legal = [c for c in found if all(rule.leaves(c) for rule in self._rules_of(layer.name))]
        refined = []
        for structure in self._promising(legal or found):
            assert isinstance(structure.config, Conv2dConfig)  # noqa: S101 - made of structures
            refined += [
                Option(config, structure.input_layouts)
                for config in refinements(op, structure.config, self._board)
            ]
        found += yield from self._accepted(layer, refined, answers)
        return found

    def _halo_moved(
        self, layer: Layer, asked: Sequence[Option], answers: Answers
    ) -> Asking[list[Choice]]:
        """Probe structures, and those that are rejected with their halo moved.

        It may fit after all once it is moved to where the input was.
        """
        moved = [_with_halo_moved(option) for option in asked]
        first = yield [self._ask(layer, option) for option in asked]
        rejected = [place for place, answer in enumerate(first) if isinstance(answer, Rejection)]
        again = yield [self._ask(layer, moved[place]) for place in rejected]
        second = dict(zip(rejected, again, strict=True))
        found: list[Choice] = []
        for place, answer in enumerate(first):
            last = second.get(place, answer)
            answers += [answer] if last is answer else [answer, last]
            option = moved[place] if place in second else asked[place]
            found += choices_of([last], option.config)
        return found

    def _accepted(
        self, layer: Layer, asked: Sequence[Option], answers: Answers
    ) -> Asking[list[Choice]]:
        """Probe options, add the answers to ``answers`` and return what the device accepts."""
        given = yield [self._ask(layer, option) for option in asked]
        answers += given
        return [
            choice
            for option, answer in zip(asked, given, strict=True)
            for choice in choices_of([answer], option.config)
        ]

    def _folded_op(self, layer: Layer) -> Conv2d | None:
        """Return the convolution that a strided stem becomes on its folded input, if it is one."""
        if not isinstance(layer.op, Conv2d):
            return None
        stem = fold_stem(layer.op, self._network.input_shapes(layer)[0])
        return None if stem is None else stem.op

    def _folded_options(
        self, layer: Layer, base: Conv2dConfig, found: Sequence[Choice]
    ) -> list[Option]:
        """Return structures that fold rows in DRAM, or rows in the shards of the fastest so far."""
        shards = (
            choice.input_layouts
            for choice in sorted(found, key=lambda choice: choice.time_us)
            if choice.sharding is ShardLayout.HEIGHT
            and choice.input_layouts[0].page is PageLayout.ROW_MAJOR
        )
        places = dict.fromkeys([None, next(shards, None)])
        configs = folded_structures(layer.shape, base, self._board, self._effort)
        return [Option(config, place) for place in places for config in configs]

    def _promising(self, found: Sequence[Choice]) -> list[Choice]:
        """Return the structures worth refining: the fastest, and the best of each sharding."""
        ranked = sorted(distinct_programs(found), key=lambda choice: choice.time_us)
        if not ranked:
            return []
        best_us = ranked[0].time_us
        near = [choice for choice in ranked if choice.time_us <= REFINE_WITHIN * best_us]
        chosen = near[: self._effort.refined_structures]
        for sharding in ShardLayout:
            first = next((choice for choice in near if choice.sharding is sharding), None)
            if first is not None and first not in chosen:
                chosen.append(first)
        return chosen

    def _rare(self, op: Convolution, found: Sequence[Choice]) -> list[Conv2dConfig]:
        """Return what seldom pays, on the fastest candidate of each sharding."""
        if not self._effort.rare_switches:
            return []
        best: dict[ShardLayout, Conv2dConfig] = {}
        for choice in sorted(found, key=lambda item: item.time_us):
            if isinstance(choice.config, Conv2dConfig) and choice.config.slicing == "l1_full":
                best.setdefault(choice.sharding, choice.config)
        return [config for fastest in best.values() for config in rare_switches(op, fastest)]

    def _other(self, layer: Layer, tables: Tables) -> Asking[_Split]:
        sources = [
            distinct(choice.output_layout for choice in tables[name]) for name in layer.inputs
        ]
        answers: Answers = []
        asked = options(layer, self._formats, sources, self._wanted(layer, tables))
        found = yield from self._accepted(layer, asked, answers)
        if isinstance(layer.op, Pool2d) and not any(c.output_layout.is_sharded for c in found):
            # An image that fits L1 in slices only.
            output_dtype = self._formats.output_dtype(layer)
            base = PoolConfig(output_dtype=output_dtype, reallocate_halo_output=True)
            sliced = sliced_pools(base, self._source(layer), self._effort)
            found += yield from self._accepted(layer, sliced, answers)
        return self._selected(layer, found, answers)

    def _wanted(self, layer: Layer, tables: Tables) -> list[TensorLayout]:
        """Return the layouts in which the convolutions after a layer take its output."""
        return distinct(
            choice.input_layouts[edge.index]
            for edge in self._network.edges
            if edge.producer == layer.name
            and isinstance(self._network.by_name[edge.consumer].op, Convolution)
            for choice in tables[edge.consumer]
        )

    def _asked(self, layer: Layer, option: Option) -> list[Choice]:
        """Return what one option did on the device whose times count, nothing if it rejects it."""
        book = self._measured or self._book
        signature = self._network.layer_signature(layer)
        return choices_of([book.probe(signature, self._request(layer, option))], option.config)

    def _ask(self, layer: Layer, option: Option) -> Ask:
        source = self._source(layer) if layer.inputs else self.source_layout(layer)
        request = replace(self._request(layer, option), source_layouts=(source,))
        return self._network.layer_signature(layer), request

    def _request(self, layer: Layer, option: Option) -> ProbeRequest:
        is_input = isinstance(layer.op, Input)
        return ProbeRequest(
            op=layer.op,
            input_shapes=(layer.shape,) if is_input else self._network.input_shapes(layer),
            shape=layer.shape,
            config=option.config,
            input_layouts=option.input_layouts,
        )

    def _selected(
        self, layer: Layer, found: Sequence[Choice], answers: Sequence[Probed | Rejection]
    ) -> _Split:
        """Return what neighbours may still want, the undominated of the best layouts; the rest."""
        if not found:
            raise SearchError(nothing_left(layer, answers))
        legal = allowed(self._rules, layer.name, found)
        chosen = _of_the_best_layouts(undominated(legal), self._effort.kept_layouts)
        timed = [item for item in (self.timed(layer, choice) for choice in chosen) if item]
        if not timed:
            raise SearchError(
                f"layer {layer.name}: the card rejects all {len(chosen)} candidates that the mock "
                "device accepts; 'autosched doctor' checks that both run the same ttnn"
            )
        timed.sort(key=lambda choice: choice.time_us)
        taken = set(map(id, chosen))
        # What a kept one dominated by its estimate, its time on the card may not.
        rest = (choice for choice in legal if id(choice) not in taken)
        return tuple(timed), undominated(rest, timed)


def _of_the_best_layouts(choices: Sequence[Choice], kept_layouts: int) -> list[Choice]:
    """Return the candidates of the fastest combinations of layouts, and of each sharding's best."""
    groups: dict[tuple[TensorLayout, ...], list[Choice]] = {}
    for choice in choices:
        groups.setdefault(choice.layouts, []).append(choice)
    ranked = list(groups.values())
    kept = ranked[:kept_layouts]
    places = {place_of_group(group) for group in kept}
    for group in ranked[len(kept) :]:
        if place_of_group(group) not in places:
            places.add(place_of_group(group))
            kept.append(group)
    return [choice for group in kept for choice in group]


def _alike(layers: Iterable[Layer], key: Callable[[Layer], Hashable]) -> list[list[Layer]]:
    """Return the layers in groups of equal key."""
    groups: dict[Hashable, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(key(layer), []).append(layer)
    return list(groups.values())


def _with_halo_moved(option: Option) -> Option:
    assert isinstance(option.config, Conv2dConfig)  # noqa: S101 - structures of a convolution
    return replace(option, config=replace(option.config, reallocate_halo_output=True))
