"""How many images of a batch are packed into channels: as asked, as a study has it, or tried."""

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from autosched.budget import UNLIMITED, Budget
from autosched.cli import exits
from autosched.device.interface import Device
from autosched.device.machine import ttnn_version
from autosched.device.pool import mock_devices_of
from autosched.errors import NetworkFileError, SearchError
from autosched.network.graph import Network
from autosched.network.rewrites.packed_images import pack_images
from autosched.probing.image_packings import (
    CLOSE,
    PackingEstimate,
    PackingSite,
    best_packing,
    estimate_packings,
    likely_packings,
)
from autosched.probing.probe_book import Phase
from autosched.report import words
from autosched.report.output import Screen, say
from autosched.report.progress import SearchScreen
from autosched.search.settings import Settings
from autosched.store.database import Store
from autosched.store.probes import DeviceKey
from autosched.store.studies import StudyRecord

AUTO = "auto"
_PART_OF_TIMEOUT = 1 / 3


def parse_images(text: str) -> int | None:
    """Return how many images ``--pack-images`` names, None for "auto".

    Raises:
        SearchError: if it is neither.
    """
    if text == AUTO:
        return None
    if text.isdecimal() and len(text) < 10 and int(text) > 0:
        return int(text)
    raise SearchError(f"--pack-images {text[:40]!r} is neither auto nor a number of images from 1")


@dataclass(frozen=True)
class Tried:
    """What ways of packing are tried with: a search's settings, where it runs, and its device.

    ``likely`` is the study that may go on, ``deadline_s`` the end of the whole search on the
    monotonic clock.
    """

    store: Store
    settings: Settings
    board: str
    device: Device
    jobs: int | None = None
    likely: StudyRecord | None = None
    deadline_s: float = math.inf


def chosen_packing(output: Screen, network: Network, tried: Tried) -> int:
    """Return how many images to pack: as many as the study that goes on, else the fastest.

    Nothing is tried for a batch of one, or where layers fill their tiles.

    Raises:
        StoreError, DeviceError: if the database or the device fails.
    """
    stored = _stored(network, tried.likely)
    if stored is not None:
        return stored
    ways = [network, *likely_packings(network)]
    if len(ways) == 1:
        return 1
    estimates = _estimates(output, ways, tried)
    best = best_packing(estimates)
    _say_chosen(output, estimates, best)
    return best.images


def _stored(network: Network, record: StudyRecord | None) -> int | None:
    """Return how many images a study has packed, if it is of this network."""
    if record is None:
        return None
    images = Settings.from_plain(record.settings).pack_images
    try:
        packed = pack_images(network, images)
    except NetworkFileError:
        return None
    return images if packed.signature == record.network_signature else None


def _estimates(output: Screen, ways: Sequence[Network], tried: Tried) -> list[PackingEstimate]:
    screen = SearchScreen(output.console, None)
    settings = tried.settings
    left_s = tried.deadline_s - time.monotonic()
    budget = UNLIMITED if math.isinf(left_s) else Budget.of(left_s * _PART_OF_TIMEOUT)

    def tell(way: Network, phase: Phase, done: int, total: int, _detail: str) -> None:
        exits.check_interrupt()
        of = f", {done} of {total}" if total else ""
        screen.begin(f"packing {way.packing.images} of {way.batch} images", f"{phase.value}{of}")

    is_mock = tried.device.kind == "mock"
    with (
        screen.shown(),
        nullcontext(tried.device) if is_mock else mock_devices_of(tried.device, tried.jobs) as mock,
    ):
        key = DeviceKey(tried.board, mock.kind, ttnn_version())
        site = PackingSite(
            *(tried.store, mock, key, settings.formats, settings.restrictions),
            uses_fault_rules=not settings.allow_known_faults,
        )
        return estimate_packings(ways, site, tell, budget)


def _say_chosen(
    output: Screen, estimates: Sequence[PackingEstimate], best: PackingEstimate
) -> None:
    times = ", ".join(f"{_images(item)} {_time(item)}" for item in estimates)
    say(output.console, f"Images packed into channels, estimated: {times}")
    first, *_ = estimates
    if best is first:
        say(output.console, "  none are packed; --pack-images N packs N")
        return
    say(
        output.console,
        f"  {best.images} are packed: {_gain(first, best)}; --pack-images 1 packs none",
    )


def _gain(first: PackingEstimate, best: PackingEstimate) -> str:
    """Return how much faster the best is; of unequal looks, what they were told apart by."""
    if first.effort != best.effort or not first.latency_us or not best.latency_us:
        return f"more than {CLOSE:g} times faster at a first look"
    return f"{first.latency_us / best.latency_us:.2f} times faster"


def _images(item: PackingEstimate) -> str:
    return "none" if item.images == 1 else str(item.images)


def _time(item: PackingEstimate) -> str:
    if item.latency_us is None:
        return "(no schedule found)"
    return f"{words.microseconds(item.latency_us)} {words.MICRO} ({item.effort})"
