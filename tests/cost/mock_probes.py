"""Probe convolutions and reshards on the mock device, each with variants of one choice.

A program of its own, because ttnn reads its environment once per process. Usage: FILE COUNT SEED;
the pickled result is a list of (rule, slower, faster): the ops of both variants, of which physics
says that the first is never faster.
"""

import itertools
import os
import pickle
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autosched.boards import find_board
from autosched.cost.ops.convolutions import Conv2dOp
from autosched.cost.ops.families import read_features
from autosched.cost.ops.matmul import MatmulOp
from autosched.device.machine import mock_directory
from autosched.device.mock.environment import mock_environment
from autosched.schedule.outcomes import DeviceOp

os.environ.update(mock_environment(find_board("n150"), mock_directory()))

import torch
import ttnn

from autosched.device.ttnn.graph_capture import read_device_ops

Ops = tuple[DeviceOp, ...]
Pair = tuple[str, Ops, Ops]

LAYOUTS = {
    "height": ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
    "block": ttnn.TensorMemoryLayout.BLOCK_SHARDED,
    "width": ttnn.TensorMemoryLayout.WIDTH_SHARDED,
}
FIDELITIES = ("LoFi", "HiFi2", "HiFi3", "HiFi4")


@dataclass(frozen=True)
class Probe:
    """One convolution and every choice that a rule varies."""

    side: int
    into: int
    out: int
    kernel: int
    stride: int
    layout: str
    batch: int = 1
    fidelity: str = "LoFi"
    weights: str = "bfloat8_b"
    source: str = "bfloat16"
    packer_l1_acc: bool = False
    act_block_h: int = 0
    act_double_buffer: bool = False
    weights_double_buffer: bool = False
    grid_rows: int = 0


class Prober:
    """Runs probes, each once."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.ran = 0
        self._known: dict[Any, Ops | None] = {}

    def convolution(self, probe: Probe) -> Ops | None:
        """Return the ops of a convolution, None where ttnn refuses it."""
        if probe not in self._known:
            self._known[probe] = self._captured(lambda: self._convolve(probe))
        return self._known[probe]

    def reshard(self, rows: int, columns: int, source: str, target: str) -> Ops | None:
        """Return the ops that bring a tensor from one sharding into another."""
        tensor = self._tensor((1, 1, rows, columns), "bfloat8_b", ttnn.TILE_LAYOUT)
        try:
            placed = ttnn.to_memory_config(tensor, _sharded(rows, columns, source))
            wanted = _sharded(rows, columns, target)
        except (RuntimeError, ValueError):
            return None
        return self._captured(lambda: ttnn.to_memory_config(placed, wanted))

    def _captured(self, run: Any) -> Ops | None:
        self.ran += 1
        ttnn.graph.begin_graph_capture(ttnn.graph.RunMode.NORMAL)
        try:
            result = run()
        except RuntimeError:
            result = None
        finally:
            graph = ttnn.graph.end_graph_capture()
        return None if result is None else read_device_ops(graph)

    def _tensor(self, shape: tuple[int, ...], dtype: str, page: Any) -> Any:
        return ttnn.from_torch(
            torch.zeros(shape),
            dtype=getattr(ttnn, dtype),
            layout=page,
            device=self.device,
            memory_config=ttnn.DRAM_MEMORY_CONFIG,
        )

    def _convolve(self, probe: Probe) -> Any:
        shape = (1, 1, probe.batch * probe.side**2, probe.into)
        config = ttnn.Conv2dConfig(
            weights_dtype=getattr(ttnn, probe.weights),
            shard_layout=LAYOUTS[probe.layout],
            act_block_h_override=probe.act_block_h,
            enable_act_double_buffer=probe.act_double_buffer,
            enable_weights_double_buffer=probe.weights_double_buffer,
        )
        if probe.grid_rows:
            last = ttnn.CoreCoord(7, probe.grid_rows - 1)
            config.core_grid = ttnn.CoreRangeSet({ttnn.CoreRange(ttnn.CoreCoord(0, 0), last)})
            config.override_sharding_config = True
        return ttnn.conv2d(
            input_tensor=self._tensor(shape, probe.source, ttnn.TILE_LAYOUT),
            weight_tensor=ttnn.from_torch(
                torch.zeros(probe.out, probe.into, probe.kernel, probe.kernel)
            ),
            bias_tensor=ttnn.from_torch(torch.zeros(1, 1, 1, probe.out)),
            device=self.device,
            in_channels=probe.into,
            out_channels=probe.out,
            kernel_size=(probe.kernel, probe.kernel),
            stride=(probe.stride, probe.stride),
            padding=(probe.kernel // 2, probe.kernel // 2),
            dilation=(1, 1),
            groups=1,
            batch_size=probe.batch,
            input_height=probe.side,
            input_width=probe.side,
            conv_config=config,
            compute_config=ttnn.init_device_compute_kernel_config(
                self.device.arch(),
                math_fidelity=getattr(ttnn.MathFidelity, probe.fidelity),
                fp32_dest_acc_en=False,
                packer_l1_acc=probe.packer_l1_acc,
            ),
            dtype=ttnn.bfloat8_b,
            slice_config=ttnn.Conv2dL1FullSliceConfig,
        )


def _sharded(rows: int, columns: int, layout: str) -> Any:
    strategy = {
        "height": ttnn.ShardStrategy.HEIGHT,
        "block": ttnn.ShardStrategy.BLOCK,
        "width": ttnn.ShardStrategy.WIDTH,
    }[layout]
    return ttnn.create_sharded_memory_config(
        (1, 1, rows, columns), ttnn.CoreGrid(x=8, y=8), strategy
    )


def pairs(prober: Prober, probe: Probe, random_: random.Random) -> Iterator[Pair]:
    """Yield every pair of variants of one convolution that ttnn accepts."""
    for rule, slower, faster in _variants(probe):
        ops = prober.convolution(slower), prober.convolution(faster)
        if ops[0] is None or ops[1] is None:
            continue
        if rule == "small block" and not _equal_but_blocks(ops[0], ops[1]):
            continue
        if rule == "fewer cores" and not _deals_out(ops[0], ops[1]):
            continue
        yield rule, ops[0], ops[1]
    sides = random_.sample(sorted(LAYOUTS), 2)
    moved = prober.reshard(2048, 512, *sides)
    if moved:
        yield "reshard", moved, ()


def _variants(probe: Probe) -> Iterator[tuple[str, Probe, Probe]]:
    for low, high in itertools.pairwise(FIDELITIES):
        yield "fidelity", replace(probe, fidelity=high), replace(probe, fidelity=low)
    for small in (32, 64):
        blocks = replace(probe, act_block_h=small), replace(probe, act_block_h=2 * small)
        yield "small block", *blocks
    yield "double buffer", probe, replace(probe, act_double_buffer=True)
    yield "double buffer", probe, replace(probe, weights_double_buffer=True)
    yield "fewer cores", replace(probe, grid_rows=4), replace(probe, grid_rows=8)
    yield "more bytes", replace(probe, batch=2 * probe.batch), probe
    yield "more bytes", probe, replace(probe, source="bfloat8_b")
    yield "weights", replace(probe, weights="bfloat16"), probe


def _equal_but_blocks(one: Ops, other: Ops) -> bool:
    """Whether two convolutions differ in their blocks alone: an override may change the cores.

    Weights are kept from one block of rows to the next, so that several blocks differ from one.
    """
    features = [read_features(ops[-1]) for ops in (one, other)]
    if not all(isinstance(item, Conv2dOp) for item in features):
        return False
    same = [
        (item.cores, item.out_tiles_h, item.out_tiles_w, item.out_tiles_h > item.act_block_h)
        for item in features
        if isinstance(item, Conv2dOp)
    ]
    return same[0] == same[1]


def _deals_out(fewer: Ops, more: Ops) -> bool:
    """Whether the second deals the same work to more cores, so that each has less.

    Channels are padded per core and blocks fill whole tiles, so that more cores may mean more work.
    """
    one, other = (read_features(ops[-1]) for ops in (fewer, more))
    if isinstance(one, Conv2dOp) and isinstance(other, Conv2dOp):
        return (
            one.stick_channels * one.cores_c == other.stick_channels * other.cores_c
            and one.out_tiles_w * one.cores_c == other.out_tiles_w * other.cores_c
            and one.out_tiles_h * one.out_tiles_w > other.out_tiles_h * other.out_tiles_w
        )
    if isinstance(one, MatmulOp) and isinstance(other, MatmulOp):
        return one.core_m * one.core_n > other.core_m * other.core_n
    return False


def drawn(random_: random.Random) -> Probe:
    """Return a random convolution of a size that networks have."""
    side = random_.choice((7, 14, 28, 56))
    return Probe(
        side=side,
        into=random_.choice((32, 64, 96, 128, 256, 512) if side < 56 else (16, 32, 64)),
        out=random_.choice((32, 64, 128, 256, 512) if side < 56 else (32, 64)),
        kernel=random_.choice((1, 3, 3, 5)),
        stride=random_.choice((1, 1, 2)),
        layout=random_.choice(sorted(LAYOUTS)),
        packer_l1_acc=random_.random() < 0.5,
    )


def main(path: Path, count: int, seed: int) -> None:
    """Probe ``count`` random convolutions with their variants."""
    random_ = random.Random(seed)
    device = ttnn.open_device(device_id=0, l1_small_size=32768)
    device.disable_and_clear_program_cache()
    prober = Prober(device)
    found = [pair for _ in range(count) for pair in pairs(prober, drawn(random_), random_)]
    path.write_bytes(pickle.dumps((prober.ran, found)))
    ttnn.close_device(device)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
