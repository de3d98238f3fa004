"""What every device answers."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.errors import TimeUpError
from autosched.network.graph import Network, Weights
from autosched.network.operators import LayerOp
from autosched.schedule.configurations import LayerConfig
from autosched.schedule.outcomes import AloneTime, ProbeOutcome, Rejection, RunOutcome, Soaked
from autosched.schedule.schedule import Schedule
from autosched.schedule.tensors import DRAM_TILE, TensorLayout

if TYPE_CHECKING:
    import torch


def check_time(budget: Budget) -> None:
    """Raise TimeUpError if a budget is up."""
    if budget.is_up:
        raise TimeUpError("the time was up before the device was asked")


TensorShape = tuple[int, ...]


@dataclass(frozen=True)
class ProbeRequest:
    """One candidate of a layer, to be run alone.

    ``input_shapes`` and ``shape`` are PyTorch's. ``input_layouts`` None asks for the layouts the
    candidate takes natively: it is first given ``source_layouts`` (one for all inputs, or one
    each) and then what ttnn made of them. A convolution or pool frees its first input.
    """

    op: LayerOp
    input_shapes: tuple[TensorShape, ...]
    shape: TensorShape
    config: LayerConfig
    input_layouts: tuple[TensorLayout, ...] | None = None
    source_layouts: tuple[TensorLayout, ...] = (DRAM_TILE,)

    @property
    def sources(self) -> tuple[TensorLayout, ...]:
        """One source layout per input."""
        if len(self.source_layouts) == len(self.input_shapes):
            return self.source_layouts
        return self.source_layouts * len(self.input_shapes)


@dataclass(frozen=True)
class ReshardRequest:
    """A tensor of ``shape`` (PyTorch's) to be brought from one layout into another, alone."""

    shape: TensorShape
    source: TensorLayout
    target: TensorLayout


Request = ProbeRequest | ReshardRequest


@dataclass(frozen=True)
class LayerTest:
    """A layer or reshard to be executed alone and compared with PyTorch.

    ``inputs`` (in PyTorch's order) and ``weights`` None: values drawn with ``seed``.
    """

    request: Request
    seed: int = 0
    inputs: "tuple[torch.Tensor, ...] | None" = None
    weights: Weights | None = None


Answer = ProbeOutcome | Rejection
Answers = Generator[tuple[int, Answer], None, None]
"""Answers with the places of their requests, in any order; to be closed if it is left early."""


class Device(Protocol):
    """Runs single layers and whole networks.

    An answer is a value: an outcome, or a typed rejection; nothing a configuration does makes a
    method raise. Times are set on silicon only (``kind`` "silicon"); on the mock device (``kind``
    "mock") the cost model estimates them from the ops. One caller at a time.

    A request is given the time that is left for its answer. When that is up the caller gets a
    :class:`~autosched.errors.TimeUpError`, which is no fact about the configuration; a device in
    the caller's own process looks at it before it begins only.
    """

    board: Board
    kind: str

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        """Take the network that :meth:`run` executes, with its weights."""

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> ProbeOutcome | Rejection:
        """Run one candidate of a layer alone."""

    def reshard(
        self, request: ReshardRequest, budget: Budget = UNLIMITED
    ) -> ProbeOutcome | Rejection:
        """Bring a tensor from one layout into another, alone."""

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        """Run the loaded network once by ``schedule``."""

    def close(self) -> None:
        """Release the device; idempotent."""

    def __enter__(self) -> "Device": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Stopwatch(Protocol):
    """A card that times layers and reshards alone; an answer is a value, as a device's is."""

    def time_alone(self, request: Request, budget: Budget = UNLIMITED) -> AloneTime | Rejection:
        """Run a layer or reshard alone, and time it by replays of a trace."""


@runtime_checkable
class ManyAtOnce(Protocol):
    """A device that can have several requests under way."""

    def answers(self, requests: Sequence[Request], budget: Budget = UNLIMITED) -> Answers:
        """Yield the answers as they come."""


class Soaking(Protocol):
    """A card that replays a schedule many times; an answer is a value, as a device's is."""

    def soak(
        self, schedule: Schedule, replays: int, budget: Budget = UNLIMITED
    ) -> Soaked | Rejection:
        """Replay the loaded network by ``schedule``, and compare its outputs bit by bit."""


@runtime_checkable
class WithMockDevices(Protocol):
    """A device that says which mock devices stand in for it."""

    def mock_devices(self, jobs: int | None) -> Device:
        """Return mock devices of the same board, ``jobs`` of them where that can be chosen."""


def ask(device: Device, request: Request, budget: Budget = UNLIMITED) -> Answer:
    """Return a device's answer to a request of either kind."""
    if isinstance(request, ProbeRequest):
        return device.probe(request, budget)
    return device.reshard(request, budget)


def answers(device: Device, requests: Sequence[Request], budget: Budget = UNLIMITED) -> Answers:
    """Yield a device's answers as they come, several under way at once where the device can."""
    if isinstance(device, ManyAtOnce):
        yield from device.answers(requests, budget)
    else:
        for index, request in enumerate(requests):
            yield index, ask(device, request, budget)


@dataclass(frozen=True)
class TimingSettings:
    """How a card is timed: ``warm_ups`` runs, then ``replays`` of the captured trace.

    What is to be called best is replayed ``soak`` times more, and its outputs stay the same.
    """

    warm_ups: int = 3
    replays: int = 100
    soak: int = 5000
