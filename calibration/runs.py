"""Runs the configurations of points and simulated sweeps on one board's mock device.

A program of its own, because ttnn reads its environment once per process. Usage: BOARD SIMULATED
OUTPUT; SIMULATED is the directory of ``sweep.csv``.
"""

import csv
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autosched.boards import find_board
from autosched.device.machine import mock_directory
from autosched.device.mock.environment import mock_environment

if __name__ == "__main__":
    os.environ.update(mock_environment(find_board(sys.argv[1]), mock_directory()))

import ttnn

from autosched.boards import L1_SMALL_BYTES
from autosched.cost.calibration.observations import (
    Observation,
    Source,
    conv_group,
    write_observations,
)
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.families import read_features
from autosched.cost.ops.halo import HaloOp
from autosched.cost.ops.movement import InterleavedToShardedOp
from autosched.cost.ops.work import Record
from calibration.mock_device import Ops, convolution
from calibration.points import TODAY, observe, points

SWEEP = "sweep.csv"
CONV_WEIGHT = 0.25
"""Of a simulated convolution: its error within a layer is about twice a card's drift."""
HALO_WEIGHT = 0.1
STICKS_WEIGHT = 0.1
STICKS_AGREEMENT = 0.84
"""What the simulation gives of silicon's time for interleaved-to-sharded, where both are known."""


def simulated(place: Path, device: Any, board: str) -> Iterator[Observation]:
    """Yield what the simulated sweeps of a board say.

    A convolution is told by its layer's others alone. Interleaved-to-sharded of rows, which is a
    newer kernel than any profile shows, counts by itself where rows are aligned, taken to silicon
    by what the simulation gives for the same op of tiles. So do halos, which are of rows: no
    profile of the architecture shows today's. Other ops are left out, as the sweeps' README asks.
    """
    seen: set[Record] = set()
    with (place / SWEEP).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["status"] == "ok" and row["board"] == board:
                for item in _observed(row, _run(row, device)):
                    if item.bundle or item.record not in seen:
                        yield item
                    seen.add(item.record)


def _observed(row: Mapping[str, str], ops: Ops) -> Iterator[Observation]:
    for record in map(read_features, ops):
        if isinstance(record, Conv2dOp):
            clocks, bundle = float(row["sim_conv_clocks"]), row["layer"]
            yield _observation(record, row, clocks, CONV_WEIGHT, f"simulated {bundle}")
        elif isinstance(record, HaloOp) and not record.from_tiles:
            clocks = float(row["sim_with_halo_clocks"]) - float(row["sim_conv_clocks"])
            yield _observation(record, row, clocks, HALO_WEIGHT, "")
        elif isinstance(record, InterleavedToShardedOp) and _is_aligned(record):
            clocks = float(row["sim_i2s_clocks"]) / STICKS_AGREEMENT
            yield _observation(record, row, clocks, STICKS_WEIGHT, "")


def _is_aligned(record: InterleavedToShardedOp) -> bool:
    return not record.waits


def _observation(
    record: Record, row: Mapping[str, str], clocks: float, weight: float, bundle: str
) -> Observation:
    group = conv_group(record) if isinstance(record, Conv2dOp) else f"{row['layer']} rows"
    return Observation(
        arch="wormhole_b0",
        record=record,
        time_ns=clocks,
        group=group,
        label=f"{row['layer']} {_configuration(row)}",
        origin=SWEEP,
        release=TODAY,
        source=Source.SIMULATED,
        bundle=bundle,
        weight=weight,
    )


_CHOICES = ("layout", "abh", "adb", "wdb", "full", "reuse", "sr", "l1acc", "fid", "fp32", "grid")


def _configuration(row: Mapping[str, str]) -> str:
    kept = (f"{name}={row[name]}" for name in _CHOICES if row[name] not in ("", "0", "False"))
    return " ".join((*kept, f"wdt={row['wdt']}", f"odt={row['odt']}"))


def _run(row: Mapping[str, str], device: Any) -> Ops:
    forced = {"force_split_reader": row["sr"] == "True"} if row["sr"] else {}
    return convolution(
        device,
        (int(row["in_channels"]), int(row["out_channels"])),
        (int(row["h"]), int(row["w"])),
        row["layout"],
        kernel=_pair(row["kernel"]),
        stride=int(row["stride"]),
        padding=int(row["padding"]),
        dilation=int(row["dilation"]),
        groups=int(row["groups"]),
        grid=_pair(row["grid"]) if row["grid"] else None,
        fidelity=row["fid"],
        fp32=row["fp32"] == "True",
        l1_acc=row["l1acc"] == "True",
        weights=row["wdt"],
        output=row["odt"],
        act_block_h_override=int(row["abh"]),
        enable_act_double_buffer=row["adb"] == "True",
        enable_weights_double_buffer=row["wdb"] == "True",
        full_inner_dim=row["full"] == "True",
        enable_activation_reuse=row["reuse"] == "True",
        **forced,
    )


def _pair(text: str) -> tuple[int, int]:
    one, other = map(int, text.split("x"))
    return one, other


def main(board: str, place: Path, output: Path) -> None:
    """Write what one board's points and sweeps say."""
    device = ttnn.open_device(device_id=0, l1_small_size=L1_SMALL_BYTES)
    device.disable_and_clear_program_cache()
    arch = find_board(board).arch
    found = [observe(point, device, arch) for point in points() if point.board == board]
    found += simulated(place, device, board)
    write_observations(found, output)
    ttnn.close_device(device)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
