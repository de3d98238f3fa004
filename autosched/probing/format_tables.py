"""Candidates in other formats: what the joint search chooses from where accuracy limits it.

Formats multiply the space. So the tables are built in one format first, and what they keep is
asked in others: each precision for a layer's best candidate, then those that are worth their time
for the candidates that a schedule about as fast as any may have, with inputs and output in block
floats or in bfloat16; the slower ones with all of them in the same. Of candidates with the same
layouts the fastest is asked, and the others where the device rejects it. What the device rejects,
such as bfloat16 that does not fit in L1, is no candidate.

Where nothing exact of a layer was ever executed, or fits where its fastest candidates do, its
table is also built in the most exact formats, so that what those have for all layers alike is to be
had here, too.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain, product, repeat

from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, Convolution, HostOp, Output
from autosched.probing.candidates import (
    Asking,
    Choice,
    Given,
    LayerQuestions,
    ProbedTables,
    Tables,
    ask_together,
)
from autosched.probing.probe_book import LayerProgress, ProbeBook
from autosched.schedule.configurations import (
    Conv2dConfig,
    EltwiseConfig,
    FixedConfig,
    LayerConfig,
    MatmulConfig,
    Precision,
    precision_of,
    with_precision,
)
from autosched.schedule.outcomes import Rejection
from autosched.schedule.tensors import DataType, PageLayout, TensorLayout
from autosched.space.efforts import Effort
from autosched.space.formats import PRECISIONS
from autosched.space.layer_formats import LayerFormats
from autosched.space.layers import Option

Loss = Callable[[str, Choice], float]
"""What a candidate of a layer, by its name, costs the outputs alone: 1 - PCC."""

# A precision that saves less than this share of a layer's time is not worth its error.
_WORTH = 0.003
# Slower candidates than this, beside a layer's fastest, are not asked in other formats,
_NOT_SLOWER = 1.5
# nor those with which the fastest schedule takes so much longer, as a share of the layer's time.
_COSTS_MORE = 0.3
# Of those slower than this, all tensors are asked for in one format: a layer that reads one and
# leaves another has faster ones.
_MIXED = 1.05
# What loses more than this many times what is allowed is not asked: errors may cancel out.
_TOO_MUCH = 2.0
# What needs less than this share of the fastest one's L1 is asked beside it.
_FAR_LESS_L1 = 0.5
# A precision that loses more than this share of what a faster one does is hardly more exact.
_HARDLY = 0.9
# What is offered of a layer lacks exactness where others of its formats lose so much less.
_MUCH_LESS = 0.5
# The most exact candidates of all layers are exact enough if they lose this share of what is
# allowed, when each is added to the others.
_ENOUGH = 0.5


@dataclass(frozen=True)
class Wanted:
    """What formats are worth: ``loss`` is each candidate's alone, ``allowed`` that of them all.

    Nothing is more exact than is of use where all layers together lose no more than the share
    ``nothing`` of what is allowed. Without ``allowed``, nothing is that, or too inexact. What is
    sought ``widely`` may be of candidates that no fast schedule has: they may be more exact.
    """

    loss: Loss
    allowed: float | None = None
    nothing: float = 0.1
    widely: bool = False


def in_other_formats(  # noqa: PLR0913 - what is asked, of whom
    network: Network,
    tables: ProbedTables,
    formats: LayerFormats,
    questions: LayerQuestions,
    book: ProbeBook,
    *,
    wanted: Wanted | None,
    more_us: Mapping[str, Sequence[float]],
    exact: Callable[[Sequence[Layer]], Tables],
    effort: Effort,
    progress: LayerProgress,
) -> ProbedTables:
    """Return what the tables keep, with the same in other formats beside it, fastest first.

    ``more_us`` is how much longer schedules with each candidate kept take, at least, by its layer;
    layers of which nothing is said are asked for widely.
    ``exact`` returns the tables of some layers in the most exact formats, as far as there are any.
    Without ``wanted``, every precision is asked for, and nothing left out.

    Raises:
        TimeUpError: if the book's budget ends first.
    """
    asking = _Formats(network, formats, questions, book, wanted, more_us, effort, progress)
    found, lacking = asking.asked(tables.kept)
    if lacking:
        more = {
            name: (*tables.kept[name], *filter(_is_executed, choices))
            for name, choices in exact(lacking).items()
        }
        found.update(asking.asked(more)[0])
    return ProbedTables({layer.name: found[layer.name] for layer in network}, {})


def _is_executed(choice: Choice) -> bool:
    return choice.is_executed


@dataclass(frozen=True)
class _Formats:
    """Asks for the candidates of a network's layers in other formats."""

    network: Network
    formats: LayerFormats
    questions: LayerQuestions
    book: ProbeBook
    wanted: Wanted | None
    more_us: Mapping[str, Sequence[float]]
    effort: Effort
    progress: LayerProgress

    def asked(
        self, kept: Mapping[str, Sequence[Choice]]
    ) -> tuple[dict[str, tuple[Choice, ...]], list[Layer]]:
        """Return the candidates of layers, and of which layers what is offered lacks exactness."""
        network = self.network
        found: dict[str, tuple[Choice, ...]] = {}
        lacking: list[Layer] = []
        least: dict[str, float] = {}
        groups: dict[object, list[Layer]] = {}
        for layer in network:
            if layer.name in kept:
                legal = allowed_precisions(layer, self.formats)
                key = (network.layer_signature(layer), tuple(kept[layer.name]), legal)
                groups.setdefault(key, []).append(layer)
        grouped = list(groups.values())
        askings = (
            (number, self._variants(group, kept[group[0].name]))
            for number, group in enumerate(grouped)
        )
        for number, choices in ask_together(
            self.book,
            askings,
            lambda number: self.progress(grouped[number][0], len(found), len(kept)),
        ):
            group = grouped[number]
            offered = self._offered(group[0], choices, kept[group[0].name])
            if self._lacks(group[0].name, offered, choices):
                lacking += group
            for layer in group:
                found[layer.name] = _worthwhile(layer.name, offered, self.wanted)
                if self.wanted is not None and offered:
                    least[layer.name] = self._least(layer, offered, self.wanted)
        lacking += [layer for layer in self._inexact(least, found) if layer not in lacking]
        return found, lacking

    def _least(self, layer: Layer, offered: Sequence[Choice], wanted: Wanted) -> float:
        """Return what the most exact candidate loses; a convolution's that reads bfloat16.

        To read block floats, what comes before has to be rounded to them, which is its loss.
        """
        reading = [
            choice
            for choice in offered
            if not isinstance(layer.op, Convolution)
            or choice.input_layouts[0].dtype is DataType.BFLOAT16
        ]
        return min((wanted.loss(layer.name, choice) for choice in reading), default=1.0)

    def _inexact(
        self, least: Mapping[str, float], found: Mapping[str, Sequence[Choice]]
    ) -> list[Layer]:
        """Return the convolutions to blame if the most exact candidates of all lose too much.

        ``least`` is what they lose; in other formats than fit, such a layer would lose far less.
        """
        if self.wanted is None or self.wanted.allowed is None:
            return []
        allowed = self.wanted.allowed
        if sum(least.values()) <= _ENOUGH * allowed:
            return []
        nothing = self.wanted.nothing * allowed / len(self.network.layers)
        return [
            layer
            for layer in self.network
            if isinstance(layer.op, Convolution)
            and least.get(layer.name, 0.0) > nothing
            and self._possible(layer, found[layer.name][0]) < _MUCH_LESS * least[layer.name]
        ]

    def _possible(self, layer: Layer, choice: Choice) -> float:
        """Return what a layer loses in the most exact formats, wherever they may fit."""
        assert self.wanted is not None  # noqa: S101 - asked where it is given
        *_, layouts = _retyped(layer, choice, self.formats)
        placed = replace(choice, input_layouts=layouts[:-1], output_layout=layouts[-1])
        return min(
            self.wanted.loss(
                layer.name, replace(placed, config=_option(choice, layouts, precision).config)
            )
            for precision in allowed_precisions(layer, self.formats)
        )

    def _offered(
        self, layer: Layer, choices: Sequence[Choice], kept: Sequence[Choice]
    ) -> list[Choice]:
        own = set(map(id, kept))
        offered = [
            choice
            for choice in choices
            if choice.is_executed or self.effort.unexecuted or id(choice) in own
        ]
        if len(offered) < len(choices):
            signature = self.network.layer_signature(layer)
            left = (choice for choice in choices if not choice.is_executed)
            self.book.leave_out((signature, choice.config, choice.input_layouts) for choice in left)
        return offered

    def _lacks(self, name: str, offered: Sequence[Choice], choices: Sequence[Choice]) -> bool:
        """Return whether what was never executed is much more exact than what is offered."""
        if self.wanted is None or len(offered) == len(choices):
            return False
        loss = self.wanted.loss
        least = min(loss(name, choice) for choice in choices)
        return least < _MUCH_LESS * min(loss(name, choice) for choice in offered)

    def _variants(self, group: Sequence[Layer], choices: Sequence[Choice]) -> Asking[list[Choice]]:
        """Ask for the candidates of layers that are alike in other formats."""
        layer, formats = group[0], self.formats
        found = list(choices)
        if isinstance(layer.op, Output | HostOp) or not choices:
            return found
        legal = allowed_precisions(layer, formats)
        fastest = min(choices, key=lambda choice: choice.time_us)
        own = precision_of(fastest.config)
        precisions: Callable[[DataType], Sequence[Precision | None]] = _none
        if legal and own is not None:
            options = [
                _option(fastest, fastest.layouts, precision)
                for precision in legal
                if precision != own
            ]
            priced = [fastest, *(yield from self.questions.accepted(layer, options, []))]
            precisions = cache(partial(self._precisions, priced, group))
        known = {Option(choice.config, choice.input_layouts) for choice in choices}
        places = [
            (ranked, layouts, precision)
            for ranked in _alike(self._promising(group, choices), _NOT_SLOWER * fastest.time_us)
            for layouts in _retyped(layer, ranked[0], formats)
            if ranked[0].time_us <= _MIXED * fastest.time_us or _is_of_one(layouts, ranked[0])
            for precision in precisions(layouts[-1].dtype)
        ]
        while places:
            asked = [_option(ranked[0], layouts, how) for ranked, layouts, how in places]
            new = [option for option in dict.fromkeys(asked) if option not in known]
            answers: Given = []
            found += yield from self.questions.accepted(layer, new, answers)
            known.update(
                option
                for option, answer in zip(new, answers, strict=True)
                if not isinstance(answer, Rejection)
            )
            places = [
                (ranked[1:], layouts, how)
                for (ranked, layouts, how), option in zip(places, asked, strict=True)
                if option not in known and len(ranked) > 1
            ]
        return found

    def _promising(self, group: Sequence[Layer], choices: Sequence[Choice]) -> list[Choice]:
        """Return the candidates with which some layer's schedule may be about as fast as any.

        What is not of the tables, such as what the most exact formats have, may be, too.
        """
        limit_us = _COSTS_MORE * min(choice.time_us for choice in choices)
        columns = zip(*(self.more_us.get(layer.name, ()) for layer in group), strict=True)
        least_us = chain(map(min, columns), repeat(0.0))
        return [choice for choice, more in zip(choices, least_us, strict=False) if more <= limit_us]

    def _precisions(
        self, priced: Sequence[Choice], group: Sequence[Layer], dtype: DataType
    ) -> list[Precision | None]:
        """Return the precisions of layers that leave an output in one format.

        What was never executed displaces nothing.
        """
        if self.wanted is None:
            return list(map(_precision, priced))
        executed = [choice for choice in priced if choice.is_executed]
        worth = [self._worth_their_time(some, group, dtype) for some in (priced, executed)]
        return list(dict.fromkeys(chain(*worth)))

    def _worth_their_time(
        self, priced: Iterable[Choice], group: Sequence[Layer], dtype: DataType
    ) -> list[Precision | None]:
        """Return the precisions of which none as exact is as fast, within what is allowed."""
        assert self.wanted is not None  # noqa: S101 - asked where it is given
        wanted, share = self.wanted, len(group) / len(self.network.layers)
        nothing, most, hardly = 0.0, math.inf, 1.0
        if wanted.allowed is not None:
            nothing, most = wanted.nothing * wanted.allowed * share, _TOO_MUCH * wanted.allowed
            hardly = _HARDLY

        def lost(choice: Choice) -> list[float]:
            left = replace(choice, output_layout=replace(choice.output_layout, dtype=dtype))
            return [wanted.loss(layer.name, left) for layer in group]

        losses = [(lost(choice), choice) for choice in priced]
        usable = [item for item in losses if min(item[0]) <= most] or losses
        ranked = sorted(usable, key=lambda item: (max(sum(item[0]), nothing), item[1].time_us))
        kept: list[tuple[float, Choice]] = []
        for found, choice in ranked:
            loss = sum(found)
            if kept and choice.time_us >= kept[-1][1].time_us * (1.0 - _WORTH):
                continue
            if kept and loss * hardly <= kept[-1][0]:
                loss, _ = kept.pop()  # what takes longer is hardly more exact
            kept.append((loss, choice))
        return [_precision(choice) for _, choice in kept]


def _none(_dtype: DataType) -> Sequence[None]:
    return (None,)


def _precision(choice: Choice) -> Precision | None:
    return precision_of(choice.config)


def allowed_precisions(layer: Layer, formats: LayerFormats) -> tuple[Precision, ...]:
    """Return the precisions that pins leave a layer, its own among them."""
    own = formats.precision(layer)
    if own is None:
        return ()
    legal = (precision for precision in PRECISIONS if formats.permits(layer, precision))
    return tuple(dict.fromkeys((own, *legal)))


def _alike(choices: Iterable[Choice], limit_us: float) -> Iterator[list[Choice]]:
    """Yield the candidates up to a time, those of the same layouts together, fastest first.

    What needs far less L1 than the fastest of them comes by itself, too.
    """
    groups: dict[tuple[TensorLayout, ...], list[Choice]] = {}
    for choice in sorted(choices, key=lambda choice: choice.time_us):
        if choice.time_us <= limit_us:
            groups.setdefault(choice.layouts, []).append(choice)
    for ranked in groups.values():
        yield ranked
        smallest = min(ranked, key=lambda choice: choice.scratch_bytes)
        if smallest.scratch_bytes < _FAR_LESS_L1 * ranked[0].scratch_bytes:
            yield [smallest]


def _retyped(
    layer: Layer, choice: Choice, formats: LayerFormats
) -> Iterator[tuple[TensorLayout, ...]]:
    """Yield a candidate's layouts with tiles of block floats in bfloat16, too.

    What has weights, and a sum, reads one format and leaves another; all else keeps its input's.
    """
    inputs = [_formats_of(layout) for layout in choice.input_layouts]
    pinned = formats.pinned_output(layer)
    left = (choice.output_layout,) if pinned else _formats_of(choice.output_layout)
    if precision_of(choice.config) is not None or isinstance(layer.op, Binary):
        yield from product(*inputs, left)
        return
    yield choice.layouts
    exactest = (*(item[-1] for item in inputs), left[-1])
    if exactest != choice.layouts:
        yield exactest


def _is_of_one(layouts: Sequence[TensorLayout], choice: Choice) -> bool:
    """Whether of a candidate's tensors all that may change their format have one."""
    pairs = zip(layouts, choice.layouts, strict=True)
    return len({new.dtype for new, own in pairs if len(_formats_of(own)) > 1}) <= 1


def _formats_of(layout: TensorLayout) -> tuple[TensorLayout, ...]:
    if layout.page is not PageLayout.TILE or layout.dtype is not DataType.BFLOAT8_B:
        return (layout,)
    return (layout, replace(layout, dtype=DataType.BFLOAT16))


def _option(
    choice: Choice, layouts: tuple[TensorLayout, ...], precision: Precision | None
) -> Option:
    config = leaving(choice.config, layouts[-1].dtype)
    if precision is not None and isinstance(config, Conv2dConfig | MatmulConfig):
        config = with_precision(config, precision)
    return Option(config, layouts[:-1])


def leaving(config: LayerConfig, dtype: DataType) -> LayerConfig:
    """Return a configuration whose output has another format."""
    match config:
        case FixedConfig():
            return replace(config, output=replace(config.output, dtype=dtype))
        case EltwiseConfig():
            return replace(config, output_dtype=dtype, layout=replace(config.layout, dtype=dtype))
        case _:
            return replace(config, output_dtype=dtype)


def _worthwhile(name: str, choices: Iterable[Choice], wanted: Wanted | None) -> tuple[Choice, ...]:
    """Return the candidates that none as exact dominates, fastest first; without loss, all."""
    groups: dict[tuple[TensorLayout, ...], list[tuple[Choice, float]]] = {}
    left = []
    ranked = sorted(choices, key=lambda item: (item.time_us, item.scratch_bytes))
    if wanted is None:
        return tuple(ranked)
    for choice in ranked:
        group = groups.setdefault(choice.layouts, [])
        error = wanted.loss(name, choice)
        if not any(least <= error and other.dominates(choice) for other, least in group):
            group.append((choice, error))
            left.append(choice)
    return tuple(left)
