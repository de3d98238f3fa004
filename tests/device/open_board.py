"""Opens one mock board in a process of its own and prints the sizes that ttnn reports."""

import json
import re
import sys
from typing import Any

import ttnn

from autosched.boards import find_board
from autosched.device.machine import open_local_device
from autosched.device.ttnn.local_device import LocalDevice
from autosched.schedule.outcomes import Rejection
from tests.examples.device_layers import HEIGHT, pointwise


def sizes(device: LocalDevice) -> dict[str, Any]:
    grid = device.device.compute_with_storage_grid_size()
    l1 = ttnn.get_memory_view(device.device, ttnn.BufferType.L1)
    dram = ttnn.get_memory_view(device.device, ttnn.BufferType.DRAM)
    # ttnn names a core's L1 where a program needs more of it.
    too_large = device.probe(pointwise(2048, 14, HEIGHT))
    assert isinstance(too_large, Rejection)
    limit = re.search(r"beyond max L1 size of (\d+) B", too_large.message)
    return {
        "grid": [grid.x, grid.y],
        "arch": device.device.arch().name.lower(),
        "l1_bank_bytes": l1.total_bytes_per_bank,
        "cores": l1.num_banks,
        "dram_banks": dram.num_banks,
        "l1_bytes": int(limit[1]) if limit else too_large.message,
    }


def main(name: str) -> None:
    with open_local_device(find_board(name)) as device:
        sys.stdout.write(json.dumps(sizes(device)))


if __name__ == "__main__":
    main(sys.argv[1])
