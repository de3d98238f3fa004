from itertools import product

import pytest
import torch

from autosched.network.graph import Layer, Weights
from autosched.network.operators import Conv2d, ConvTranspose2d
from autosched.network.reference import evaluate_layer
from autosched.numerics.comparison import agreement
from autosched.numerics.emulation import emulated
from autosched.schedule.configurations import ComputeConfig, Conv2dConfig, Fidelity
from autosched.schedule.tensors import DataType, ShardLayout

GRID_COLUMNS = 8
SIDE = 9
WINDOWS = {
    "3x3": {"kernel": (3, 3), "padding": (1, 1, 1, 1)},
    "5x5 with stride": {"kernel": (5, 5), "stride": (2, 2), "padding": (2, 2, 2, 2)},
    "dilated row": {"kernel": (1, 3), "dilation": (1, 2), "padding": (0, 0, 2, 2)},
}


def made(op: Conv2d, config: Conv2dConfig, image: torch.Tensor, weights: Weights) -> torch.Tensor:
    layer = Layer("conv", op, ("x",), (2, op.out_channels, SIDE, SIDE))
    return emulated(layer, config, [image], weights, GRID_COLUMNS)


def both(
    channels: int, window: str, config: Conv2dConfig, *, has_bias: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    """A depthwise convolution's output, and that of the matrix which the device makes of it."""
    torch.manual_seed(0)
    image = torch.randn(2, channels, SIDE, SIDE).bfloat16().float()
    rows, columns = WINDOWS[window]["kernel"]
    kernels = torch.randn(channels, 1, rows, columns)
    bias = torch.randn(channels) if has_bias else None
    matrix = torch.zeros(channels, channels, rows, columns)
    matrix[range(channels), range(channels)] = kernels[:, 0]
    depthwise, dense = (
        Conv2d(channels, channels, groups=groups, has_bias=has_bias, **WINDOWS[window])
        for groups in (channels, 1)
    )
    return (
        made(depthwise, config, image, Weights(kernels, bias)),
        made(dense, config, image, Weights(matrix, bias)),
    )


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("layout", [ShardLayout.HEIGHT, ShardLayout.BLOCK, ShardLayout.WIDTH])
# Cores of BLOCK shards have 8, 16 and 32 of them, so that 4, 2 and 1 taps lie in a tile.
@pytest.mark.parametrize("channels", [64, 128, 256])
def test_a_channel_by_itself_has_the_sums_of_a_matrix_with_zeros(
    channels: int, layout: ShardLayout, window: str
) -> None:
    for fidelity, in_l1, has_bias in product(
        (Fidelity.LOFI, Fidelity.HIFI3), (True, False), (True, False)
    ):
        config = Conv2dConfig(
            shard_layout=layout,
            weights_dtype=DataType.BFLOAT8_B,
            output_dtype=DataType.BFLOAT16,
            compute=ComputeConfig(fidelity, packer_l1_acc=in_l1),
        )
        alone, of_matrix = both(channels, window, config, has_bias=has_bias)
        # Without a bias the last core's last block is rounded in another place than all else.
        own = slice(channels - channels // GRID_COLUMNS if not has_bias else channels)
        assert torch.equal(alone[:, own], of_matrix[:, own]), (fidelity, in_l1, has_bias)


@pytest.mark.parametrize("layout", [ShardLayout.HEIGHT, ShardLayout.BLOCK, ShardLayout.WIDTH])
# Of 24 channels of a core two taps lie in a tile, or one: their phases are told in another order.
@pytest.mark.parametrize("channels", [3, 72, 192])
def test_others_differ_in_last_bits(channels: int, layout: ShardLayout) -> None:
    for wide in (False, True):
        config = Conv2dConfig(
            shard_layout=layout,
            weights_dtype=DataType.BFLOAT16,
            output_dtype=DataType.BFLOAT8_B,
            compute=ComputeConfig(Fidelity.HIFI2, fp32_dest_acc_en=wide),
        )
        assert agreement(*both(channels, "3x3", config)).concordance > 0.99999


def test_a_transposed_convolution_may_be_depthwise() -> None:
    torch.manual_seed(0)
    op = ConvTranspose2d(40, 40, (4, 4), (2, 2), (1, 1), groups=40)
    image = torch.randn(1, 40, SIDE, SIDE).bfloat16().float()
    weights = Weights(torch.randn(40, 1, 4, 4).bfloat16().float(), torch.randn(40))
    layer = Layer("up", op, ("x",), (1, 40, 2 * SIDE, 2 * SIDE))
    config = Conv2dConfig(
        shard_layout=ShardLayout.HEIGHT,
        weights_dtype=DataType.BFLOAT16,
        output_dtype=DataType.BFLOAT16,
        compute=ComputeConfig(Fidelity.HIFI4, fp32_dest_acc_en=True),
    )
    found = emulated(layer, config, [image], weights, GRID_COLUMNS)
    truth = evaluate_layer(layer, [image], weights)
    assert agreement(found, truth).concordance > 0.99999
