"""Single ops on ttnn's mock device, as what was decided for them: for points and simulated sweeps.

Import it in a process that has the mock device's environment (:mod:`calibration.runs`): ttnn reads
it once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import ttnn

from autosched.device.ttnn.graph_capture import read_device_ops
from autosched.schedule.outcomes import DeviceOp

Ops = tuple[DeviceOp, ...]

LAYOUTS = {
    "height": ttnn.TensorMemoryLayout.HEIGHT_SHARDED,
    "block": ttnn.TensorMemoryLayout.BLOCK_SHARDED,
    "width": ttnn.TensorMemoryLayout.WIDTH_SHARDED,
}


def captured(run: Callable[[], Any]) -> Ops:
    """Return the device ops of a call, also of one that ttnn refuses half way through."""
    ttnn.graph.begin_graph_capture(ttnn.graph.RunMode.NORMAL)
    try:
        result = run()
    except RuntimeError:
        result = None
    finally:
        graph = ttnn.graph.end_graph_capture()
    ops: Ops = read_device_ops(graph)
    del result
    return ops


def tensor(
    device: Any,
    shape: Sequence[int],
    dtype: str = "bfloat16",
    *,
    tiles: bool = False,
    l1: bool = False,
) -> Any:
    """Return an interleaved tensor of zeros, of rows or of tiles, in DRAM or in L1."""
    return ttnn.from_torch(
        torch.zeros(*shape),
        dtype=getattr(ttnn, dtype),
        layout=ttnn.TILE_LAYOUT if tiles else ttnn.ROW_MAJOR_LAYOUT,
        device=device,
        memory_config=ttnn.L1_MEMORY_CONFIG if l1 else ttnn.DRAM_MEMORY_CONFIG,
    )


def compute_config(device: Any, fidelity: str, **flags: bool) -> Any:
    """Return a compute-kernel configuration; what is not named is off."""
    chosen = {"fp32_dest_acc_en": False, "packer_l1_acc": False, **flags}
    return ttnn.init_device_compute_kernel_config(
        device.arch(), math_fidelity=getattr(ttnn.MathFidelity, fidelity), **chosen
    )


def convolution(  # noqa: PLR0913 - one parameter per property of the layer
    device: Any,
    channels: tuple[int, int],
    image: tuple[int, int],
    layout: str,
    *,
    batch: int = 1,
    kernel: tuple[int, int] = (3, 3),
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
    groups: int = 1,
    grid: tuple[int, int] | None = None,
    fidelity: str = "LoFi",
    fp32: bool = False,
    l1_acc: bool = False,
    weights: str = "bfloat8_b",
    output: str = "bfloat16",
    rows_out: bool = False,
    tiles_in: bool = False,
    **config: Any,
) -> Ops:
    """Return the ops of a convolution with bias on an image of rows in DRAM.

    ``channels`` and ``image`` are (in, out) and (height, width), ``grid`` (columns, rows) of cores;
    ``config`` are further fields of ``Conv2dConfig``.
    """
    into, out = channels
    source = tensor(device, (1, 1, batch * image[0] * image[1], into), tiles=tiles_in)
    chosen = ttnn.Conv2dConfig(
        weights_dtype=getattr(ttnn, weights),
        shard_layout=LAYOUTS[layout],
        output_layout=ttnn.ROW_MAJOR_LAYOUT if rows_out else ttnn.TILE_LAYOUT,
        **config,
    )
    if grid is not None:
        last = ttnn.CoreCoord(grid[0] - 1, grid[1] - 1)
        chosen.core_grid = ttnn.CoreRangeSet({ttnn.CoreRange(ttnn.CoreCoord(0, 0), last)})
        chosen.override_sharding_config = True
    return captured(
        lambda: ttnn.conv2d(
            input_tensor=source,
            weight_tensor=ttnn.from_torch(torch.zeros(out, into // groups, *kernel)),
            bias_tensor=ttnn.from_torch(torch.zeros(1, 1, 1, out)),
            device=device,
            in_channels=into,
            out_channels=out,
            kernel_size=kernel,
            stride=(stride, stride),
            padding=(padding, padding),
            dilation=(dilation, dilation),
            groups=groups,
            batch_size=batch,
            input_height=image[0],
            input_width=image[1],
            conv_config=chosen,
            compute_config=compute_config(
                device, fidelity, fp32_dest_acc_en=fp32, packer_l1_acc=l1_acc
            ),
            dtype=getattr(ttnn, output),
            slice_config=ttnn.Conv2dL1FullSliceConfig,
        )
    )


def matmul(
    device: Any,
    sizes: tuple[int, int, int],
    fidelity: str = "HiFi4",
    *,
    l1: bool = False,
    program: Any = None,
) -> Ops:
    """Return the ops of a product (rows, inner, columns) of bfloat16 tiles, in DRAM."""
    rows, inner, columns = sizes
    one = tensor(device, (1, 1, rows, inner), tiles=True, l1=l1)
    other = tensor(device, (1, 1, inner, columns), tiles=True)
    config = compute_config(device, fidelity)
    return captured(
        lambda: ttnn.matmul(one, other, compute_kernel_config=config, program_config=program)
    )
