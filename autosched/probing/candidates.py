"""Candidates of layers: what is asked of the device, and what it answered.

Several layers are asked together, so that no worker waits for what one layer wants to know next.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Generic, TypeVar

from autosched.device.interface import ProbeRequest
from autosched.errors import AutoschedError
from autosched.network.graph import Layer, Network
from autosched.network.operators import (
    Concat,
    Convolution,
    Input,
    LayerOp,
    Pool2d,
    Upsample,
    is_pointwise,
)
from autosched.probing.probe_book import Ask, ProbeBook, Probed
from autosched.schedule.configurations import Conv2dConfig, LayerConfig
from autosched.schedule.outcomes import DeviceOp, Rejection, TimeKind
from autosched.schedule.tensors import ShardLayout, TensorLayout
from autosched.space.efforts import Effort
from autosched.space.layer_formats import LayerFormats, conv2d_base
from autosched.space.layers import Option

Key = TypeVar("Key")
Found = TypeVar("Found")

Given = list[Probed | Rejection]
Asking = Generator[Sequence[Ask], Given, Found]
"""What asks in steps: yields what it asks next, is sent the answers in that order, and returns."""


@dataclass(frozen=True)
class Choice:
    """One candidate of a layer, as probed: its configuration, layouts, time and L1 need.

    ``scratch_bytes`` is the peak per core beside inputs and output, ``saved_by_freeing_bytes`` what
    it is lower by where the layer may free its first input. ``move_us`` is the part
    of the time that ``ttnn.move`` took, which runs nothing where a tensor lies well already.
    ``stderr_log`` is the standard error of log time, ``kind`` says where the time is from,
    ``is_executed`` whether something of its kind was executed right.
    """

    config: LayerConfig
    input_layouts: tuple[TensorLayout, ...]
    output_layout: TensorLayout
    time_us: float
    scratch_bytes: int
    ops: tuple[DeviceOp, ...]
    stderr_log: float = 0.0
    saved_by_freeing_bytes: int = 0
    move_us: float = 0.0
    kind: TimeKind = TimeKind.ESTIMATED
    is_executed: bool = True

    @property
    def layouts(self) -> tuple[TensorLayout, ...]:
        """Input layouts and output layout: what neighbours see of the candidate."""
        return (*self.input_layouts, self.output_layout)

    @property
    def least_us(self) -> float:
        """The least time it can take in a network."""
        return self.time_us - self.move_us

    def dominates(self, other: "Choice") -> bool:
        """Whether it is as good as another everywhere: same layouts, not slower, not more L1.

        Not slower means with the moves and without: a proposal counts them, a bound does not.
        """
        mine, theirs = self.scratch_bytes, other.scratch_bytes
        return (
            self.layouts == other.layouts
            and self.time_us <= other.time_us
            and self.least_us <= other.least_us
            and mine <= theirs
            and mine - self.saved_by_freeing_bytes <= theirs - other.saved_by_freeing_bytes
        )

    @property
    def sharding(self) -> ShardLayout:
        """How its first input is sharded; the output where there is no input."""
        return self.layouts[0].sharding


Tables = Mapping[str, tuple[Choice, ...]]
"""The candidates of every layer by name, fastest first."""


@dataclass(frozen=True)
class ProbedTables:
    """Everything that was probed of a network's layers, without what others dominate.

    ``kept`` is what the joint search chooses from. ``left_out``, of the same layers, is too slow
    by itself to be worth probing its reshards; a bound counts it all the same.
    """

    kept: Tables
    left_out: Tables


def undominated(choices: Iterable[Choice], beside: Iterable[Choice] = ()) -> tuple[Choice, ...]:
    """Return the candidates that no other one, nor one ``beside`` them, dominates; fastest first.

    Of equals the first stays.
    """
    groups: dict[tuple[TensorLayout, ...], list[Choice]] = {}
    for choice in beside:
        groups.setdefault(choice.layouts, []).append(choice)
    left = []
    for choice in sorted(choices, key=lambda item: (item.time_us, item.scratch_bytes)):
        group = groups.setdefault(choice.layouts, [])
        if not any(other.dominates(choice) for other in group):
            group.append(choice)
            left.append(choice)
    return tuple(left)


def offered(choices: Sequence[Choice], effort: Effort) -> Sequence[Choice]:
    """Return the candidates whose kind was executed; all where an effort offers the others, too.

    A layer of which nothing was executed has nothing else to choose from.
    """
    executed = [choice for choice in choices if choice.is_executed]
    return choices if effort.unexecuted or not executed else executed


def choices_of(answers: Sequence[Probed | Rejection], config: LayerConfig) -> list[Choice]:
    """Return the answers that are no rejections as candidates of one configuration."""
    return [
        Choice(
            config,
            answer.outcome.input_layouts,
            answer.outcome.output_layout,
            answer.time_us,
            answer.outcome.scratch_bytes,
            answer.outcome.ops,
            answer.stderr_log,
            answer.outcome.saved_by_freeing_bytes,
            answer.move_us,
            answer.kind,
            answer.is_executed,
        )
        for answer in answers
        if isinstance(answer, Probed)
    ]


class LayerQuestions:
    """How an option of a layer becomes a request, and an answer a candidate.

    ``book`` answers; where it only ranks candidates, ``measured`` answers for those whose time
    counts. Convolutions of more than ``row_channels`` leave no shards of rows.
    """

    def __init__(
        self,
        network: Network,
        formats: LayerFormats,
        book: ProbeBook,
        measured: ProbeBook | None = None,
        *,
        row_channels: int,
    ) -> None:
        self._network = network
        self._row_channels = row_channels
        self._formats = formats
        self._book = book
        self._measured = measured

    def source(self, layer: Layer) -> TensorLayout:
        """Return the interleaved DRAM layout in which a layer's first input may come."""
        producer = self._network.by_name[layer.inputs[0]] if layer.inputs else layer
        return self._formats.dram_layout(producer)

    def may_come_in_rows(self, layer: Layer) -> bool:
        """Return whether a layer's first input may be left in shards of rows as well as tiles."""
        producer = self._network.by_name[layer.inputs[0]]
        if isinstance(producer.op, Concat | Pool2d | Upsample):
            return self._row_channels > 0
        return self.may_leave_rows(producer)

    def may_come_in_filled_rows(self, layer: Layer) -> bool:
        """Return whether such rows are filled up to whole tiles of channels."""
        return self.may_leave_rows(self._network.by_name[layer.inputs[0]])

    def may_leave_rows(self, layer: Layer) -> bool:
        """Return whether a convolution's rows are of use to what reads them.

        What slides a window over an image, enlarges it or puts it beside another gathers rows: of
        tiles it makes them first.
        """
        op = layer.op
        if not isinstance(op, Convolution) or is_pointwise(op):
            return False
        if op.out_channels > self._row_channels:
            return False
        return any(
            _gathers_rows(self._network.by_name[edge.consumer].op)
            for edge in self._network.edges
            if edge.producer == layer.name
        )

    def input_shapes(self, layer: Layer) -> tuple[tuple[int, ...], ...]:
        """Return PyTorch's shapes of what a layer is given; an input is given its own tensor."""
        return (layer.shape,) if isinstance(layer.op, Input) else self._network.input_shapes(layer)

    def conv2d_base(self, layer: Layer) -> Conv2dConfig:
        """Return a convolution's configuration in the formats of its layer."""
        return conv2d_base(layer, self._formats)

    def sliced_base(self, layer: Layer) -> Conv2dConfig:
        """Return the same for a convolution that reads tiles in DRAM."""
        dtype = self._formats.dtype_from_dram(layer)
        return replace(self.conv2d_base(layer), output_dtype=dtype)

    def ask(self, layer: Layer, option: Option) -> Ask:
        """Return the question that an option is."""
        request = ProbeRequest(
            op=layer.op,
            input_shapes=self.input_shapes(layer),
            shape=layer.shape,
            config=option.config,
            input_layouts=option.input_layouts,
            source_layouts=(self.source(layer),),
        )
        return self._network.layer_signature(layer), request

    def accepted(
        self, layer: Layer, asked: Sequence[Option], answers: Given
    ) -> Asking[list[Choice]]:
        """Ask for options, add the answers to ``answers`` and return what the device accepts."""
        given = yield [self.ask(layer, option) for option in asked]
        answers += given
        return [
            choice
            for option, answer in zip(asked, given, strict=True)
            for choice in choices_of([answer], option.config)
        ]

    def answered(self, layer: Layer, option: Option) -> list[Choice]:
        """Return what an option did on the device whose times count; nothing if it rejects it."""
        book = self._measured or self._book
        return choices_of(book.ask_all([self.ask(layer, option)]), option.config)

    def timed(self, layer: Layer, choice: Choice) -> Choice | None:
        """Return a candidate with the time that counts, None if the card rejects it."""
        if self._measured is None:
            return choice
        option = Option(choice.config, choice.input_layouts)
        return next(iter(self.answered(layer, option)), None)


# So many that the steps of one fill the pauses of another, so few that layers end one by one.
_AT_A_TIME = 4


def ask_together(
    book: ProbeBook,
    askings: Iterable[tuple[Key, Asking[Found]]],
    arrived: Callable[[Key], object] = lambda _key: None,
) -> Iterator[tuple[Key, Found]]:
    """Yield what each asking comes to; what a few of them ask next makes one batch.

    Of those that fail, the first in order is the one whose error is raised, once all before it have
    come to something: as if they were asked one after the other.

    ``arrived`` is called with the key of whoever begins, or got an answer of the device.

    Raises:
        AutoschedError: whatever the book or an asking raises.
    """
    waiting = iter(askings)
    active: list[_Asker[Key, Found]] = []
    failure: AutoschedError | None = None
    while True:
        for key, asking in islice(waiting, _AT_A_TIME - len(active)):
            arrived(key)
            active.append(_Asker(key, asking))
        if not active:
            break
        _answer(active, book, arrived)
        for place, asker in enumerate(active):
            yield from asker.ended
            if asker.failure is not None:
                failure, waiting, active = asker.failure, iter(()), active[:place]
                break
        active = [asker for asker in active if not asker.ended]
    if failure is not None:
        raise failure


def _answer(
    active: "Sequence[_Asker[Key, Found]]",
    book: ProbeBook,
    arrived: Callable[[Key], object],
) -> None:
    asks = [ask for asker in active for ask in asker.asks]
    owners = [asker.key for asker in active for _ in asker.asks]
    answers = iter(book.ask_all(asks, lambda index: arrived(owners[index])))
    for asker in active:
        if asker.asks:
            asker.go_on([next(answers) for _ in asker.asks])


class _Asker(Generic[Key, Found]):
    """An asking under way: what it asks now, nothing once it has ``ended`` with its result."""

    def __init__(self, key: Key, asking: Asking[Found]) -> None:
        self.key = key
        self.asks: Sequence[Ask] = ()
        self.ended: list[tuple[Key, Found]] = []
        self.failure: AutoschedError | None = None
        self._asking = asking
        self._advance(lambda: next(asking))

    def go_on(self, answers: Given) -> None:
        """Hand over the answers to ``asks``."""
        self._advance(lambda: self._asking.send(answers))

    def _advance(self, step: Callable[[], Sequence[Ask]]) -> None:
        self.asks = ()
        try:
            self.asks = step()
            while not self.asks:  # there is nothing to wait for
                self.asks = self._asking.send([])
        except StopIteration as end:
            self.ended.append((self.key, end.value))
        except AutoschedError as error:
            self.failure = error


def _gathers_rows(op: LayerOp) -> bool:
    if isinstance(op, Convolution):
        return not is_pointwise(op)
    return isinstance(op, Concat | Pool2d | Upsample)
