"""How many images of a batch are worth packing into channels: each way estimated, compared."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

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
from autosched.space.efforts import FIRST_LOOK, QUICK, Effort, find_effort
from autosched.space.formats import Formats
from autosched.store.database import Store
from autosched.store.probes import DeviceKey

# A way of packing is worth a look if it saves so much of what tensors take up in tiles, and makes
# no more products than this many times as many.
_SAVED = 0.9
_MORE_PRODUCTS = 2.0
_MOST_WAYS = 3
_SOLVING_LIMIT_S = 10.0
CLOSE = 2.0
"""Ways within this factor of the fastest at a first look are looked at once more.

Finer choices gain up to 1.8 times as much one way as the other.
"""
# What is closer than this is no reason to pack more images: that makes more products.
_GAINED = 0.95


@dataclass(frozen=True)
class PackingEstimate:
    """A network with so many images packed, and the best of a look at it.

    ``latency_us`` is estimated; None where no schedule was found, or there was no time. ``effort``
    says how much was looked at.
    """

    network: Network
    latency_us: float | None
    effort: str = FIRST_LOOK.name

    @property
    def images(self) -> int:
        """How many images are packed."""
        return self.network.packing.images


def likely_packings(network: Network) -> list[Network]:
    """Return a network with its images packed in the ways worth a look, few images first.

    None for a batch of one, or where layers fill their tiles of 32 channels already.
    """
    found = []
    outline, tiles, products = _outline(network), _tiles(network), _products(network)
    for images in _divisors(network.batch):
        try:
            packed = pack_images(outline, images)
        except NetworkFileError:
            break  # as any other number of images
        if _tiles(packed) <= _SAVED * tiles and _products(packed) <= _MORE_PRODUCTS * products:
            found.append(packed)
    likely = sorted(item.packing.images for item in sorted(found, key=_tiles)[:_MOST_WAYS])
    return [pack_images(network, images) for images in likely]


def _outline(network: Network) -> Network:
    """Return a network whose weights have shapes alone.

    Those of packed images are as many times as large as the square of their number, with zeros
    between the images: hundreds of gigabytes of ways that are not worth a look.
    """
    shapes = {
        name: replace(
            item,
            weight=item.weight.to("meta"),
            bias=None if item.bias is None else item.bias.to("meta"),
        )
        for name, item in network.weights.items()
    }
    return replace(network, weights=shapes)


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


@dataclass(frozen=True)
class PackingSite:
    """What ways of packing are estimated with.

    ``device`` is one whose times are estimated; what it answers is kept in ``store`` under ``key``,
    which names the board and ttnn's version. ``rules`` restrict the candidates.
    """

    store: Store
    device: Device
    key: DeviceKey
    formats: Formats = field(default_factory=Formats)
    rules: Sequence[Restriction] = ()
    uses_fault_rules: bool = True

    @property
    def board(self) -> Board:
        """The board that the key names."""
        return find_board(self.key.board)

    def book(self, network: Network) -> ProbeBook:
        """Return a book of probes of a network."""
        arch, version = self.board.arch, self.key.ttnn_version
        judge = load_judge(self.store, network, arch, version, uses_rules=self.uses_fault_rules)
        cost = choose_cost_model(self.store, arch, version).model
        return ProbeBook(self.store, self.device, self.key, cost, judge)


PackingProgress = Callable[[Network, Phase, int, int, str], None]


def estimate_packings(
    networks: Sequence[Network],
    site: PackingSite,
    progress: PackingProgress,
    budget: Budget = UNLIMITED,
) -> list[PackingEstimate]:
    """Estimate each network by the best joint choice of a first look at its candidates.

    Those that are nearly as fast as the fastest are looked at as effort quick does, unless there is
    no time for all of them.

    Raises:
        StoreError, DeviceError: if the database or the device fails.
    """
    found = [_estimated(item, FIRST_LOOK, site, progress, budget) for item in networks]
    close = _close(found)
    if len(close) < 2:
        return found
    quick = find_effort(QUICK)
    finer = [_estimated(item.network, quick, site, progress, budget) for item in close]
    if any(item.latency_us is None for item in finer):
        return found
    by_images = {item.images: item for item in finer}
    return [by_images.get(item.images, item) for item in found]


def _close(estimates: Sequence[PackingEstimate]) -> list[PackingEstimate]:
    times_us = [item.latency_us for item in estimates if item.latency_us is not None]
    limit_us = CLOSE * min(times_us, default=0.0)
    return [item for item in estimates if item.latency_us and item.latency_us <= limit_us]


def _estimated(
    network: Network, effort: Effort, site: PackingSite, progress: PackingProgress, budget: Budget
) -> PackingEstimate:
    try:
        joint = build_problem(
            network,
            site.formats,
            site.board,
            effort,
            site.book(network),
            rules=site.rules,
            progress=partial(progress, network),
            budget=budget,
        )
        limit_s = min(_SOLVING_LIMIT_S, budget.left_s)
        latency_us = solve(joint.problem, time_limit_s=limit_s).best.cost_us
    except (SearchError, TimeUpError):
        return PackingEstimate(network, None, effort.name)
    return PackingEstimate(network, latency_us, effort.name)


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
