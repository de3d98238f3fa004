"""Who works in a cluster, as a service shows it."""

from contextlib import closing
from pathlib import Path

from autosched.cluster.connection import ClusterWatch
from autosched.device.machine import ttnn_version
from tests.cluster.laboratory import scheduler, worker
from tests.examples.waiting import wait_for


def test_workers_are_listed_with_what_they_have(tmp_path: Path) -> None:
    with (
        scheduler(tmp_path) as (address, _process),
        worker(address, tmp_path, 2),
        closing(ClusterWatch(address)) as watch,
    ):
        assert wait_for(lambda: len(watch.workers()) == 1)
        (seen,) = watch.workers()
    assert (seen.device, seen.board, seen.devices) == ("mock", None, 2)
    assert (seen.ttnn_version, seen.left_out) == (ttnn_version(), "")
