"""Products by the engine's own rules; that they are the kernels' is tested with the emulation."""

import pytest
import torch

from autosched.numerics.matrix_engine import Block, added, sums_of_blocks
from autosched.schedule.configurations import ComputeConfig, Fidelity
from autosched.schedule.tensors import DataType


def block(activation: float, weight: float, inner: int = 32) -> Block:
    """One product; the rest of the tiles is zeros."""
    rows, columns = torch.zeros(32, inner), torch.zeros(inner, 32)
    rows[0, 0], columns[0, 0] = activation, weight
    return Block(rows, columns)


def config(fidelity: Fidelity, *, wide: bool = True, in_l1: bool = True) -> ComputeConfig:
    return ComputeConfig(fidelity, fp32_dest_acc_en=wide, packer_l1_acc=in_l1)


@pytest.mark.parametrize("exactly", [True, False])
@pytest.mark.parametrize(
    ("fidelity", "activation", "weight"),
    [
        (Fidelity.LOFI, 1.0 + 2**-6, 1.0 + 2**-4),
        (Fidelity.HIFI2, 1.0 + 2**-6, 1.0 + 2**-4 + 2**-7),
        (Fidelity.HIFI3, 1.0 + 2**-6 + 2**-7, 1.0 + 2**-4 + 2**-7),
    ],
)
def test_each_phase_lets_more_bits_in(
    fidelity: Fidelity, activation: float, weight: float, *, exactly: bool
) -> None:
    """Of 1.1111111 with 7 bits after the point, LoFi sees 6 of an activation and 4 of a weight."""
    most = 2.0 - 2**-7
    seen = {
        Fidelity.LOFI: (2.0 - 2**-6) * (2.0 - 2**-4),
        Fidelity.HIFI2: (2.0 - 2**-6) * most,
        Fidelity.HIFI3: (2.0 - 2**-6) * most + 2**-7 * (2.0 - 2**-4),
    }[fidelity]
    found = sums_of_blocks([block(most, most)], config(fidelity), exactly=exactly)
    assert found[0, 0].item() == pytest.approx(seen, rel=1e-4)
    whole = sums_of_blocks([block(activation, weight)], config(Fidelity.HIFI4), exactly=exactly)
    assert whole[0, 0].item() == activation * weight
    assert not whole[1:].any()


@pytest.mark.parametrize("exactly", [True, False])
def test_small_products_are_lost_in_a_register_of_bfloat16_but_not_in_l1(*, exactly: bool) -> None:
    """What lies below half of a sum's last bit is lost at once; small sums are made first."""
    large, small = block(256.0, 1.0), block(0.0, 0.0)
    small.activations[0] = 1.0 / 4
    small.weights[:, 0] = 1.0 / 8
    blocks = [large, *[small] * 3]
    narrow = config(Fidelity.HIFI4, wide=False, in_l1=False)
    assert sums_of_blocks(blocks, narrow, exactly=exactly)[0, 0].item() == 256.0
    wide = config(Fidelity.HIFI4, in_l1=False)
    assert sums_of_blocks(blocks, wide, exactly=exactly)[0, 0].item() == pytest.approx(
        259.0, abs=0.26
    )
    in_l1 = config(Fidelity.HIFI4, wide=False)
    rest = [*[small] * 3, large]
    assert sums_of_blocks(rest, in_l1, exactly=exactly)[0, 0].item() == 260.0


def test_the_bias_is_added_to_what_was_packed() -> None:
    compute = config(Fidelity.HIFI4, wide=False)
    bias = torch.full((1, 32), 0.5)
    found = sums_of_blocks([block(3.0, 1.0)], compute, bias)
    assert found[0, 0].item() == 3.5
    assert found[5].tolist() == [0.5] * 32
    coarse = sums_of_blocks([block(3.0, 1.0)], compute, bias, partials=DataType.BFLOAT4_B)
    assert coarse[0, 0].item() == 3.5


def test_addition_rounds_ties_away_from_zero() -> None:
    one, tie = torch.tensor([[1.0, -1.0]]), torch.tensor([[2**-8, -(2**-8)]])
    assert added(one, tie).tolist() == [[1.0 + 2**-7, -1.0 - 2**-7]]
    assert added(one, tie, wide=True).tolist() == [[1.0 + 2**-8, -1.0 - 2**-8]]
    assert added(one, -one).tolist() == [[0.0, 0.0]]
