"""Random candidates, as the search makes them, executed alone: what is offered computes right.

A small random network is probed on the mock device as a study probes it. Of everything that the
device accepts, what tells most about kinds of candidates comes first.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from autosched.bench.random_networks import random_formats, random_network
from autosched.boards import Board
from autosched.cost.model import CostModel
from autosched.device.interface import Device, LayerTest, ProbeRequest, Request, ReshardRequest
from autosched.device.machine import firmware_of, ttnn_version
from autosched.device.revisions import current_revisions
from autosched.errors import SearchError
from autosched.evidence.table import Meeting, meetings
from autosched.network.graph import Layer, Network
from autosched.network.operators import Conv2d
from autosched.probing.execution_judge import (
    ExecutionJudge,
    computes,
    kind_of_request,
    layer_request,
)
from autosched.probing.probe_book import ProbeBook, reshard_signature
from autosched.probing.problem_builder import build_problem
from autosched.schedule.outcomes import (
    AGAINST,
    LayerExecution,
    ProbeOutcome,
    Rejection,
    Verdict,
    verdict_of,
)
from autosched.space.efforts import Effort
from autosched.space.formats import Formats
from autosched.space.layer_formats import default_schedule
from autosched.store.database import Store
from autosched.store.probes import DeviceKey, StoredProbe, load_probes
from autosched.verification.verifier import LayerExecutor

_FEW = 32


@dataclass(frozen=True)
class SampleNetwork:
    """A network whose candidates are executed: ``source`` says what it is, ``seed`` fills it."""

    network: Network
    formats: Formats
    source: str
    seed: int


def random_sample(seed: int) -> SampleNetwork:
    """Return the random network of a seed."""
    return SampleNetwork(random_network(seed), random_formats(seed), f"random network {seed}", seed)


@dataclass(frozen=True)
class Accepted:
    """Something the mock device accepted: the request in its effective layouts, and its kind.

    ``source`` says of which network it is, ``seed`` what its tensors are filled with.
    """

    source: str
    seed: int
    request: Request
    kind: str


@dataclass(frozen=True)
class Executed:
    """A candidate that was executed, and what became of it; ``seconds`` of this machine."""

    candidate: Accepted
    answer: LayerExecution | Rejection
    seconds: float

    def verdict(self, min_concordance: float) -> Verdict:
        """Return what its execution showed."""
        return verdict_of(self.answer, min_concordance)

    def is_wrong(self, min_concordance: float) -> bool:
        """Whether it speaks against offering the candidate."""
        return self.verdict(min_concordance) in AGAINST


def accepted_candidates(
    sample: SampleNetwork,
    board: Board,
    device: Device,
    store: Store,
    effort: Effort,
    *,
    in_all_formats: bool = False,
) -> list[Accepted]:
    """Probe a network, and return all that a search of it may choose from.

    Nothing where no schedule fits; ``store`` is best one of its own.
    """
    network, formats, version = sample.network, sample.formats, ttnn_version()
    judge = ExecutionJudge(network, {}, board.arch, version)
    key = DeviceKey(board.name, device.kind, version, firmware_of(device.kind, device))
    book = ProbeBook(store, device, key, CostModel.load(board.arch), judge)
    try:
        default = default_schedule(network, board.name, version, formats)
        build_problem(
            network,
            formats,
            board,
            effort,
            book,
            known=[default],
            in_all_formats=in_all_formats,
            progress=lambda *_: None,
        )
    except SearchError:
        return []
    layers = {network.layer_signature(layer): layer for layer in network}
    shapes = {reshard_signature(layer.shape): layer.shape for layer in network}
    found = load_probes(store, {*layers, *shapes}, key, current_revisions()).probes
    return [
        Accepted(sample.source, sample.seed, request, _kind(request, outcome))
        for place, probe in found.items()
        if (outcome := _outcome(probe)) is not None
        and (request := _request(network, layers, shapes, place.layer_signature, probe)) is not None
        and judge.against_probe(request, place, outcome) is None
    ]


def _outcome(probe: StoredProbe) -> ProbeOutcome | None:
    return probe.outcome if isinstance(probe.outcome, ProbeOutcome) else None


def _request(
    network: Network,
    layers: Mapping[str, Layer],
    shapes: Mapping[str, tuple[int, ...]],
    signature: str,
    probe: StoredProbe,
) -> Request | None:
    """Return what a stored probe asked, in effective layouts; None where nothing is computed."""
    assert isinstance(probe.outcome, ProbeOutcome)  # noqa: S101 - asked of those only
    if signature in shapes:
        (source,) = probe.outcome.input_layouts
        return ReshardRequest(shapes[signature], source, probe.outcome.output_layout)
    layer = layers[signature]
    if not computes(layer.op):
        return None
    return layer_request(network, layer, probe.config, probe.outcome.input_layouts)


def _kind(request: Request, outcome: ProbeOutcome) -> str:
    return kind_of_request(request, outcome.input_layouts, outcome.output_layout)


def most_telling(
    candidates: Sequence[Accepted], met: Collection[Meeting], count: int, random: Random
) -> list[Accepted]:
    """Return at most ``count`` candidates, those first whose words meet as none have ``met`` yet.

    One at least, if there are any, whatever it tells.
    """
    left = random.sample(candidates, len(candidates))
    chosen: list[Accepted] = []
    known = set(met)
    news = {kind: set(meetings(kind)) - known for kind in {item.kind for item in left}}
    while left and len(chosen) < count:
        best = max(left, key=lambda item: len(news[item.kind] - known))
        if chosen and not news[best.kind] - known:
            break
        left.remove(best)
        chosen.append(best)
        known |= news[best.kind]
    return chosen


def execute_candidates(
    candidates: Sequence[Accepted],
    worker: LayerExecutor,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Executed]:
    """Execute candidates one after the other."""
    for candidate in candidates:
        began = clock()
        test = LayerTest(candidate.request, seed=candidate.seed)
        answer = worker.execute_layer(test)
        yield Executed(candidate, answer, clock() - began)


def minimised(
    found: Executed, worker: LayerExecutor, device: Device, min_concordance: float
) -> Executed:
    """Return a simpler candidate that is wrong as well, as simple as a few steps find it.

    ``device`` says whether a simpler one is accepted at all.
    """
    for request in _simpler(found.candidate.request):
        outcome = device.probe(request)
        if isinstance(outcome, Rejection):
            continue
        asked = replace(request, input_layouts=outcome.input_layouts)
        candidate = replace(found.candidate, request=asked, kind=_kind(asked, outcome))
        (smaller,) = execute_candidates([candidate], worker)
        if smaller.is_wrong(min_concordance):
            return minimised(smaller, worker, device, min_concordance)
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
