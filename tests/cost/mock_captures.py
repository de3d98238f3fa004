"""Run a handful of ops on the mock device and print where their captures were pickled.

A program of its own, because ttnn reads its environment once per process.
"""

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autosched.boards import find_board
from autosched.device.machine import mock_directory
from autosched.device.mock.environment import mock_environment

os.environ.update(mock_environment(find_board("n150"), mock_directory()))

import torch
import ttnn

from autosched.device.ttnn.graph_capture import read_device_ops

HEIGHT = ttnn.TensorMemoryLayout.HEIGHT_SHARDED
BLOCK = ttnn.TensorMemoryLayout.BLOCK_SHARDED
WIDTH = ttnn.TensorMemoryLayout.WIDTH_SHARDED


def main(path: Path) -> None:
    device = ttnn.open_device(device_id=0, l1_small_size=32768)
    device.disable_and_clear_program_cache()
    captures = {name: _capture(run, device) for name, run in _runs(device).items()}
    path.write_bytes(pickle.dumps(captures))
    ttnn.close_device(device)


def _capture(run: Callable[[], Any], device: Any) -> Any:
    del device
    ttnn.graph.begin_graph_capture(ttnn.graph.RunMode.NORMAL)
    try:
        result = run()
    finally:
        graph = ttnn.graph.end_graph_capture()
    ops = read_device_ops(graph)
    del result
    return ops


def _runs(device: Any) -> dict[str, Callable[[], Any]]:
    def tensor(shape: tuple[int, ...], dtype: Any, page: Any = ttnn.TILE_LAYOUT) -> Any:
        return ttnn.from_torch(
            torch.zeros(shape),
            dtype=dtype,
            layout=page,
            device=device,
            memory_config=ttnn.DRAM_MEMORY_CONFIG,
        )

    def conv(
        side: int,
        channels: tuple[int, int],
        kernel: int,
        layout: Any,
        *,
        stride: int = 1,
        weights: Any = ttnn.bfloat8_b,
        fidelity: Any = ttnn.MathFidelity.LoFi,
        **config: Any,
    ) -> Callable[[], Any]:
        into, out = channels
        padding = kernel // 2
        source = tensor((1, 1, side * side, into), ttnn.bfloat16)
        compute = ttnn.init_device_compute_kernel_config(
            device.arch(), math_fidelity=fidelity, fp32_dest_acc_en=False, packer_l1_acc=False
        )
        return lambda: ttnn.conv2d(
            input_tensor=source,
            weight_tensor=ttnn.from_torch(torch.zeros(out, into, kernel, kernel)),
            bias_tensor=ttnn.from_torch(torch.zeros(1, 1, 1, out)),
            device=device,
            in_channels=into,
            out_channels=out,
            kernel_size=(kernel, kernel),
            stride=(stride, stride),
            padding=(padding, padding),
            dilation=(1, 1),
            groups=1,
            batch_size=1,
            input_height=side,
            input_width=side,
            conv_config=ttnn.Conv2dConfig(weights_dtype=weights, shard_layout=layout, **config),
            compute_config=compute,
            dtype=ttnn.bfloat8_b,
            slice_config=ttnn.Conv2dL1FullSliceConfig,
        )

    add = tensor((1, 1, 3136, 64), ttnn.bfloat8_b)
    return {
        "segformer": conv(
            128, (32, 64), 3, HEIGHT, stride=2, weights=ttnn.bfloat16, enable_act_double_buffer=True
        ),
        "height": conv(56, (64, 64), 3, HEIGHT),
        "height_hifi4": conv(56, (64, 64), 3, HEIGHT, fidelity=ttnn.MathFidelity.HiFi4),
        "height_small_block": conv(112, (32, 32), 3, HEIGHT, act_block_h_override=32),
        "height_whole_block": conv(112, (32, 32), 3, HEIGHT),
        "height_bfloat16_weights": conv(56, (64, 64), 3, HEIGHT, weights=ttnn.bfloat16),
        "height_double_buffer": conv(
            56,
            (64, 64),
            3,
            HEIGHT,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
        ),
        "block": conv(14, (256, 256), 3, BLOCK),
        "width": conv(7, (512, 512), 3, WIDTH),
        "width_double_buffer": conv(
            7,
            (512, 512),
            3,
            WIDTH,
            enable_act_double_buffer=True,
            enable_weights_double_buffer=True,
        ),
        "pointwise": conv(56, (64, 256), 1, HEIGHT),
        "add": lambda: ttnn.add(add, add),
        "pool": lambda: ttnn.max_pool2d(
            tensor((1, 1, 112 * 112, 64), ttnn.bfloat16, ttnn.ROW_MAJOR_LAYOUT),
            1,
            112,
            112,
            64,
            [3, 3],
            [2, 2],
            [1, 1],
            [1, 1],
            applied_shard_scheme=HEIGHT,
        ),
        "sort": lambda: ttnn.sort(tensor((1, 1, 64, 64), ttnn.bfloat16)),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
