"""Random candidates, as the search makes them, executed alone: what is offered computes right.

A small random network is probed on the mock device as a study probes it. Of everything that the
device accepts, kinds that were executed least come first.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import TracebackType
from typing import Protocol

from autosched.bench.random_networks import random_network
from autosched.boards import Board
from autosched.budget import UNLIMITED, Budget
from autosched.cost.model import CostModel
from autosched.device.interface import (
    Answer,
    Answers,
    Device,
    LayerTest,
    ProbeRequest,
    Request,
    ReshardRequest,
    answers,
)
from autosched.device.machine import ttnn_version
from autosched.errors import SearchError
from autosched.evidence.kinds import kind_of, reshard_kind
from autosched.network.graph import Network
from autosched.network.operators import Conv2d, Input, Output
from autosched.probing.probe_book import ProbeBook, known_fault
from autosched.probing.problem_builder import build_problem
from autosched.schedule.outcomes import LayerExecution, ProbeOutcome, Rejection, RunOutcome
from autosched.schedule.schedule import Schedule
from autosched.space.efforts import Effort
from autosched.space.formats import Formats
from autosched.store.database import Store
from autosched.store.probes import DeviceKey

_FEW = 32


@dataclass(frozen=True)
class Accepted:
    """Something the mock device accepted: the request in its effective layouts, and its kind."""

    network_seed: int
    request: Request
    kind: str


@dataclass(frozen=True)
class Executed:
    """A candidate that was executed, and what became of it; ``seconds`` of this machine."""

    candidate: Accepted
    answer: LayerExecution | Rejection
    seconds: float

    def is_right(self, least: float) -> bool:
        """Whether its concordance is at least ``least``, twice the same."""
        answer = self.answer
        if isinstance(answer, Rejection):
            return False
        return not answer.varies and answer.agreement.concordance >= least


class Executing(Protocol):
    """What executes a layer alone: a worker on the simulator or a card."""

    def execute_layer(self, test: LayerTest) -> LayerExecution | Rejection:
        """Execute it, and compare it with PyTorch."""


def accepted_candidates(
    seed: int, board: Board, device: Device, store: Store, effort: Effort
) -> list[Accepted]:
    """Probe the random network of a seed, and return all that the device accepts of its search.

    Nothing where no schedule fits; ``store`` is best one of its own.
    """
    network = random_network(seed)
    watched = Watched(device)
    cost = CostModel.load(board.arch)
    book = ProbeBook(store, watched, DeviceKey(board.name, device.kind, ttnn_version()), cost)
    try:
        build_problem(network, Formats(), board, effort, book, progress=lambda *_: None)
    except SearchError:
        return []
    return [
        Accepted(seed, _as_run(request, outcome), _kind(request, outcome))
        for request, outcome in watched.accepted
        if not _is_left_out(request, outcome, board)
    ]


def _is_left_out(request: Request, outcome: ProbeOutcome, board: Board) -> bool:
    """Whether a search would not choose it, or there is nothing to execute."""
    if isinstance(request, ProbeRequest) and isinstance(request.op, Output):
        return True
    return known_fault(request, outcome, board.arch, ttnn_version()) is not None


def _as_run(request: Request, outcome: ProbeOutcome) -> Request:
    if isinstance(request, ProbeRequest) and not isinstance(request.op, Input):
        return replace(request, input_layouts=outcome.input_layouts)
    return request


def _kind(request: Request, outcome: ProbeOutcome) -> str:
    if isinstance(request, ReshardRequest):
        return reshard_kind(request.source, request.target)
    return kind_of(
        request.op,
        request.input_shapes,
        request.config,
        outcome.input_layouts,
        outcome.output_layout,
    )


def rarest(
    candidates: Sequence[Accepted], executed: Counter[str], count: int, random: Random
) -> list[Accepted]:
    """Return ``count`` candidates of different kinds, those executed least often first."""
    shuffled = random.sample(candidates, len(candidates))
    first_of = {candidate.kind: candidate for candidate in reversed(shuffled)}
    return sorted(first_of.values(), key=lambda candidate: executed[candidate.kind])[:count]


def execute_candidates(
    candidates: Sequence[Accepted], worker: Executing, clock: Callable[[], float] = time.monotonic
) -> Iterator[Executed]:
    """Execute candidates one after the other."""
    for candidate in candidates:
        began = clock()
        test = LayerTest(candidate.request, seed=candidate.network_seed)
        answer = worker.execute_layer(test)
        yield Executed(candidate, answer, clock() - began)


def minimised(found: Executed, worker: Executing, device: Device, least: float) -> Executed:
    """Return a simpler candidate that is wrong as well, as simple as a few steps find it.

    ``device`` says whether a simpler one is accepted at all.
    """
    for request in _simpler(found.candidate.request):
        outcome = device.probe(request)
        if isinstance(outcome, Rejection):
            continue
        candidate = Accepted(
            found.candidate.network_seed, _as_run(request, outcome), _kind(request, outcome)
        )
        (smaller,) = execute_candidates([candidate], worker)
        if not smaller.is_right(least):
            return minimised(smaller, worker, device, least)
    return found


def _simpler(request: Request) -> Iterator[ProbeRequest]:
    """Yield a convolution without its extras, or of half the channels or pixels."""
    if not isinstance(request, ProbeRequest) or not isinstance(request.op, Conv2d):
        return
    op, ((batch, channels, *sides), *_) = request.op, request.input_shapes
    if op.activation is not None:
        yield _of(request, replace(op, activation=None), (batch, channels, *sides))
    if batch > 1:
        yield _of(request, op, (1, channels, *sides))
    if op.groups == 1 and op.out_channels > _FEW:
        half = replace(op, out_channels=op.out_channels // 2)
        yield _of(request, half, (batch, channels, *sides))
    if op.groups == 1 and channels > _FEW:
        half = replace(op, in_channels=channels // 2)
        yield _of(request, half, (batch, channels // 2, *sides))
    for axis, size in enumerate(sides):
        if size >= 2 * max(op.kernel):
            smaller = [size // 2 if axis == other else side for other, side in enumerate(sides)]
            yield _of(request, op, (batch, channels, *smaller))


def _of(request: ProbeRequest, op: Conv2d, shape: tuple[int, ...]) -> ProbeRequest:
    """Return the request of another convolution, in the layouts that suit it."""
    top, bottom, left, right = op.padding
    reach = [dilation * (size - 1) for dilation, size in zip(op.dilation, op.kernel, strict=True)]
    height = (shape[2] + top + bottom - reach[0] - 1) // op.stride[0] + 1
    width = (shape[3] + left + right - reach[1] - 1) // op.stride[1] + 1
    output = (shape[0], op.out_channels, height, width)
    return replace(request, op=op, input_shapes=(shape,), shape=output, input_layouts=None)


class Watched:
    """A device that remembers what it accepted."""

    def __init__(self, device: Device) -> None:
        self.board, self.kind = device.board, device.kind
        self.accepted: list[tuple[Request, ProbeOutcome]] = []
        self._device = device

    def answers(self, requests: Sequence[Request], budget: Budget = UNLIMITED) -> Answers:
        """Yield the answers as they come."""
        for place, answer in answers(self._device, requests, budget):
            self._remember(requests[place], answer)
            yield place, answer

    def probe(self, request: ProbeRequest, budget: Budget = UNLIMITED) -> Answer:
        """Run one candidate of a layer alone."""
        return self._remember(request, self._device.probe(request, budget))

    def reshard(self, request: ReshardRequest, budget: Budget = UNLIMITED) -> Answer:
        """Bring a tensor from one layout into another, alone."""
        return self._remember(request, self._device.reshard(request, budget))

    def load(self, network: Network, budget: Budget = UNLIMITED) -> None:
        """Take the network that :meth:`run` executes."""
        self._device.load(network, budget)

    def run(self, schedule: Schedule, budget: Budget = UNLIMITED) -> RunOutcome | Rejection:
        """Run the loaded network once by ``schedule``."""
        return self._device.run(schedule, budget)

    def close(self) -> None:
        """Release the device."""
        self._device.close()

    def __enter__(self) -> "Watched":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _remember(self, request: Request, answer: Answer) -> Answer:
        if isinstance(answer, ProbeOutcome):
            self.accepted.append((request, answer))
        return answer
