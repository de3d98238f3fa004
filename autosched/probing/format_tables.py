"""Candidates in other formats: what the joint search chooses from where accuracy limits it.

Formats multiply the space. So the tables are built in one format first, and what they keep is
asked in others: each precision for a layer's best candidate, then those that are worth their time
for all its candidates, with inputs and output in block floats or in bfloat16. The device answers
for each; what it rejects, such as bfloat16 that does not fit in L1, is no candidate.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from autosched.network.graph import Layer, Network
from autosched.network.operators import Binary, HostOp, Output
from autosched.probing.candidates import Asking, Choice, LayerQuestions, ProbedTables, ask_together
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
from autosched.schedule.tensors import DataType, PageLayout, TensorLayout
from autosched.space.efforts import Effort
from autosched.space.formats import PRECISIONS
from autosched.space.layer_formats import LayerFormats
from autosched.space.layers import Option

Loss = Callable[[str, Choice], float]
"""What a candidate of a layer, by its name, costs the outputs alone: 1 - PCC."""

# A precision that saves less than this share of a layer's time is not worth its error.
_WORTH = 0.003
# Slower candidates than this, beside a layer's fastest, are not asked in other formats.
_NOT_SLOWER = 1.5


def in_other_formats(  # noqa: PLR0913 - what is asked, of whom
    network: Network,
    tables: ProbedTables,
    formats: LayerFormats,
    questions: LayerQuestions,
    book: ProbeBook,
    *,
    loss: Loss | None,
    effort: Effort,
    progress: LayerProgress,
) -> ProbedTables:
    """Return what the tables keep, with the same in other formats beside it, fastest first.

    Without ``loss``, every precision is asked for, and nothing left out.

    Raises:
        TimeUpError: if the book's budget ends first.
    """
    found: dict[str, tuple[Choice, ...]] = {}
    groups: dict[object, list[Layer]] = {}
    for layer in network:
        precisions = allowed_precisions(layer, formats)
        key = (network.layer_signature(layer), tables.kept[layer.name], precisions)
        groups.setdefault(key, []).append(layer)
    grouped = list(groups.values())
    total = len(network.layers)
    askings = (
        (number, _variants(group, tables.kept[group[0].name], formats, questions, loss))
        for number, group in enumerate(grouped)
    )
    for number, choices in ask_together(
        book, askings, lambda number: progress(grouped[number][0], len(found), total)
    ):
        first = grouped[number][0]
        own = set(map(id, tables.kept[first.name]))
        offered = [
            choice
            for choice in choices
            if choice.is_executed or effort.unexecuted or id(choice) in own
        ]
        if len(offered) < len(choices):
            signature = network.layer_signature(first)
            left = (choice for choice in choices if not choice.is_executed)
            book.leave_out((signature, choice.config, choice.input_layouts) for choice in left)
        for layer in grouped[number]:
            found[layer.name] = _worthwhile(layer.name, offered, loss)
    return ProbedTables({layer.name: found[layer.name] for layer in network}, {})


def allowed_precisions(layer: Layer, formats: LayerFormats) -> tuple[Precision, ...]:
    """Return the precisions that pins leave a layer, its own among them."""
    own = formats.precision(layer)
    if own is None:
        return ()
    legal = (precision for precision in PRECISIONS if formats.permits(layer, precision))
    return tuple(dict.fromkeys((own, *legal)))


def _variants(
    group: Sequence[Layer],
    choices: Sequence[Choice],
    formats: LayerFormats,
    questions: LayerQuestions,
    loss: Loss | None,
) -> Asking[list[Choice]]:
    """Ask for the candidates of layers that are alike in other formats."""
    layer = group[0]
    found = list(choices)
    if isinstance(layer.op, Output | HostOp) or not choices:
        return found
    precisions: Sequence[Precision | None] = (None,)
    legal = allowed_precisions(layer, formats)
    fastest = min(choices, key=lambda choice: choice.time_us)
    own = precision_of(fastest.config)
    if legal and own is not None:
        options = [
            _option(fastest, fastest.layouts, precision) for precision in legal if precision != own
        ]
        priced = [fastest, *(yield from questions.accepted(layer, options, []))]
        precisions = list(map(_precision, priced))
        if loss is not None:
            precisions = _worth_their_time(priced, [item.name for item in group], loss)
    limit_us = _NOT_SLOWER * fastest.time_us
    asked = dict.fromkeys(
        _option(choice, layouts, precision)
        for choice in choices
        if choice.time_us <= limit_us
        for layouts in _retyped(layer, choice, formats)
        for precision in precisions
    )
    for choice in choices:
        asked.pop(Option(choice.config, choice.input_layouts), None)
    others = yield from questions.accepted(layer, list(asked), [])
    return found + others


def _worth_their_time(
    priced: Iterable[Choice], layers: Sequence[str], loss: Loss
) -> list[Precision | None]:
    """Return the precisions of which none as exact is as fast.

    What is lost where block floats are stored says little of what was computed.
    """

    def lost(choice: Choice) -> float:
        output = replace(choice.output_layout, dtype=DataType.BFLOAT16)
        return sum(loss(name, replace(choice, output_layout=output)) for name in layers)

    kept: list[Precision | None] = []
    least = float("inf")
    for choice in sorted(priced, key=lost):
        if choice.time_us < least * (1.0 - _WORTH):
            kept.append(_precision(choice))
            least = choice.time_us
    return kept


def _precision(choice: Choice) -> Precision | None:
    return precision_of(choice.config)


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


def _worthwhile(name: str, choices: Iterable[Choice], loss: Loss | None) -> tuple[Choice, ...]:
    """Return the candidates that none as exact dominates, fastest first; without loss, all."""
    groups: dict[tuple[TensorLayout, ...], list[tuple[Choice, float]]] = {}
    left = []
    ranked = sorted(choices, key=lambda item: (item.time_us, item.scratch_bytes))
    if loss is None:
        return tuple(ranked)
    for choice in ranked:
        group = groups.setdefault(choice.layouts, [])
        error = loss(name, choice)
        if not any(least <= error and other.dominates(choice) for other, least in group):
            group.append((choice, error))
            left.append(choice)
    return tuple(left)
