"""How many images of a batch are worth packing into channels: each way estimated, compared."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autosched.boards import Board, find_board
from autosched.budget import UNLIMITED, Budget
from autosched.cost.model_choice import choose_cost_model
from autosched.device.interface import Device
from autosched.errors import NetworkFileError, SearchError, TimeUpError
from autosched.network.graph import Layer, Network
from autosched.network.operators import Conv2d, ConvTranspose2d, Input, Output
from autosched.network.rewrites.packed_images import pack_images
from autosched.probing.execution_judge import load_judge
from autosched.probing.probe_book import Phase, ProbeBook
from autosched.probing.problem_builder import build_problem
from autosched.probing.restrictions import Restriction
from autosched.schedule.tensors import TILE
from autosched.solver.solver import solve
from autosched.space.efforts import FIRST_LOOK
from autosched.space.formats import Formats
from autosched.store.database import Store
from autosched.store.probes import DeviceKey

# A way of packing is worth a look if it saves so much of what tensors take up in tiles, and makes
# no more products than this many times as many.
_SAVED = 0.9
_MORE_PRODUCTS = 2.0
_MOST_WAYS = 3
_SOLVING_LIMIT_S = 10.0
# What is closer than this a first look does not tell: of two ways, the one with fewer products.
_GAINED = 0.95


@dataclass(frozen=True)
class PackingEstimate:
    """A network with so many images packed, and the best of a first look at it.

    ``latency_us`` is estimated; None where no schedule was found, or there was no time.
    """

    network: Network
    latency_us: float | None

    @property
    def images(self) -> int:
        """How many images are packed."""
        return self.network.packing.images


def likely_packings(network: Network) -> list[Network]:
    """Return a network with its images packed in the ways worth a look, few images first.

    None for a batch of one, or where layers fill their tiles of 32 channels already.
    """
    found = []
    tiles, products = _tiles(network), _products(network)
    for images in _divisors(network.batch):
        try:
            packed = pack_images(network, images)
        except NetworkFileError:
            break  # as any other number of images
        if _tiles(packed) <= _SAVED * tiles and _products(packed) <= _MORE_PRODUCTS * products:
            found.append(packed)
    return sorted(sorted(found, key=_tiles)[:_MOST_WAYS], key=lambda item: item.packing.images)


def _divisors(batch: int) -> list[int]:
    return [images for images in range(2, batch + 1) if batch % images == 0]


def _tiles(network: Network) -> int:
    """Return how many elements tensors have with their channels filled up to whole tiles."""
    return sum(
        math.prod(layer.shape) // layer.shape[1] * _filled(layer.shape[1])
        for layer in network
        if len(layer.shape) > 1 and not isinstance(layer.op, Input | Output)
    )


def _products(network: Network) -> int:
    """Return how many products convolutions make of whole tiles of channels."""
    return sum(
        math.prod(_larger(network, layer, layer.op)) * math.prod(layer.op.kernel)
        for layer in network
        if isinstance(layer.op, Conv2d | ConvTranspose2d)
    )


def _larger(network: Network, layer: Layer, op: Conv2d | ConvTranspose2d) -> tuple[int, ...]:
    """Return pixels, inputs and outputs: a transposed convolution's pixels are its input's."""
    transposed = isinstance(op, ConvTranspose2d)
    batch, _, *sides = network.input_shapes(layer)[0] if transposed else layer.shape
    if op.groups == op.in_channels > 1:
        return batch, *sides, _filled(op.out_channels)
    return batch, *sides, _filled(op.in_channels), _filled(op.out_channels)


def _filled(channels: int) -> int:
    return -(-channels // TILE) * TILE


def estimate_packings(  # noqa: PLR0913 - what it is of, and who answers
    networks: Sequence[Network],
    formats: Formats,
    store: Store,
    device: Device,
    key: DeviceKey,
    *,
    rules: Sequence[Restriction] = (),
    uses_fault_rules: bool = True,
    progress: Callable[[Network, Phase, int, int, str], None],
    budget: Budget = UNLIMITED,
) -> list[PackingEstimate]:
    """Estimate each network by the best joint choice of a first look at its candidates.

    ``device`` is one whose times are estimated; what it answers is kept in ``store`` under ``key``,
    which names the board and ttnn's version.

    Raises:
        StoreError, DeviceError: if the database or the device fails.
    """
    board = find_board(key.board)
    found = []
    for network in networks:
        book = _book(store, network, board, device, key, uses_fault_rules=uses_fault_rules)
        latency_us = None
        try:
            joint = build_problem(
                network,
                formats,
                board,
                FIRST_LOOK,
                book,
                rules=rules,
                progress=lambda *told: progress(network, *told),  # noqa: B023 - called at once
                budget=budget,
            )
            limit_s = min(_SOLVING_LIMIT_S, budget.left_s)
            latency_us = solve(joint.problem, time_limit_s=limit_s).best.cost_us
        except (SearchError, TimeUpError):
            pass  # this way has no estimate
        found.append(PackingEstimate(network, latency_us))
    return found


def best_packing(estimates: Sequence[PackingEstimate]) -> PackingEstimate:
    """Return the fastest of some estimates, the earlier one where they are much alike.

    The first is of the network as it was captured, which is taken where it has none.
    """
    best, *others = estimates
    for item in others:
        if item.latency_us is None or best.latency_us is None:
            continue
        if item.latency_us <= _GAINED * best.latency_us:
            best = item
    return best


def _book(
    store: Store,
    network: Network,
    board: Board,
    device: Device,
    key: DeviceKey,
    *,
    uses_fault_rules: bool,
) -> ProbeBook:
    judge = load_judge(store, network, board.arch, key.ttnn_version, uses_rules=uses_fault_rules)
    cost = choose_cost_model(store, board.arch, key.ttnn_version).model
    return ProbeBook(store, device, key, cost, judge)
