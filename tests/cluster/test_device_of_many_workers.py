"""Eight workers and one, on PostgreSQL: what is stored, and how much faster eight are.

Their devices sleep instead of working, so that eight of them fit on a machine of two cores.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from autosched.cluster.connection import Connection
from autosched.cluster.device import ClusterDevice
from autosched.cluster.tasks import DeviceSpec
from autosched.cost.model import CostModel
from autosched.device.interface import ReshardRequest, TimingSettings
from autosched.device.machine import ttnn_version
from autosched.probing.probe_book import ProbeBook, reshard_signature
from autosched.schedule.tensors import DRAM_TILE
from autosched.store import models
from autosched.store.database import Store, open_store
from autosched.store.probes import DeviceKey
from tests.cluster.laboratory import NAPS, scheduler, worker
from tests.examples.networks import BOARD
from tests.examples.postgresql import NEEDED, running_server, server_directory

_WORKERS, _PROBES = 8, 5000
_ALONE = 300
_AT_LEAST = 7.0
_AT_ONCE = 250

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


@pytest.fixture
def store() -> Iterator[Store]:
    binaries = server_directory()
    if binaries is None:
        pytest.skip(f"needs {NEEDED}")
    with running_server(binaries) as url, open_store(url) as opened:
        yield opened


def asked(store: Store, address: str, numbers: range) -> float:
    """Ask for so many probes through a probe book, and return how many came a second."""
    with closing(Connection(address, lambda _line: None)) as connection:
        device = ClusterDevice(connection, DeviceSpec(BOARD, "mock", TimingSettings()))
        key = DeviceKey(BOARD.name, "mock", ttnn_version())
        book = ProbeBook(store, device, key, CostModel.load(BOARD.arch))
        list(device.answers([ReshardRequest((1, 0), DRAM_TILE, DRAM_TILE)] * _WORKERS * 8))
        began = time.monotonic()
        for start in range(numbers.start, numbers.stop, _AT_ONCE):
            shapes = [(NAPS, number) for number in range(start, start + _AT_ONCE)]
            book.ask_all(
                [
                    (reshard_signature(shape), ReshardRequest(shape, DRAM_TILE, DRAM_TILE))
                    for shape in shapes[: numbers.stop - start]
                ]
            )
        return len(numbers) / (time.monotonic() - began)


def test_eight_workers_store_each_probe_once_and_seven_times_as_fast(
    store: Store, tmp_path: Path
) -> None:
    with scheduler(tmp_path) as (address, _process):
        with worker(address, tmp_path):
            alone = asked(store, address, range(_PROBES, _PROBES + _ALONE))
        with ExitStack() as opened:
            for _ in range(_WORKERS):
                opened.enter_context(worker(address, tmp_path))
            together = asked(store, address, range(_PROBES))
    with store.reading() as session:
        row = models.ProbeRow
        stored = session.scalar(select(func.count()).select_from(row))
        distinct = select(row.layer_signature, row.config_digest, row.inputs_digest).distinct()
        keys = len(session.execute(distinct).all())
    print(f"{alone:.1f} probes a second alone, {together:.1f} by {_WORKERS}")  # noqa: T201
    assert stored == keys == _PROBES + _ALONE
    assert together >= _AT_LEAST * alone
