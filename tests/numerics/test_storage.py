"""Storage against values that ttnn itself converted, and by its own rules."""

import pytest
import torch

from autosched.numerics.storage import packed, stored, to_bfloat16
from autosched.schedule.tensors import DataType
from tests.examples.golden import CASES, inputs_of, output_of

B16, B8, B4 = DataType.BFLOAT16, DataType.BFLOAT8_B, DataType.BFLOAT4_B


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def test_sixteen_numbers_share_the_exponent_of_the_largest() -> None:
    values = torch.zeros(2, 32)
    values[0, 0], values[0, 1], values[0, 16] = 64.0, 0.4, 0.4
    found = stored(values, B8)
    assert found[0, :2].tolist() == [64.0, 0.0]
    assert found[0, 16] == pytest.approx(0.4, rel=2**-7)
    assert not found[1].any()


def test_ties_go_to_even_on_the_host_and_away_from_zero_in_the_packer() -> None:
    values = row(64.0, 0.5, 1.5, -0.5, -2.5)
    assert stored(values, B8).tolist() == [64.0, 0.0, 2.0, 0.0, -2.0]
    assert packed(values, B8).tolist() == [64.0, 1.0, 2.0, -1.0, -3.0]
    tie = row(1.0 + 2**-8)
    assert stored(tie, B16).item() == 1.0
    assert to_bfloat16(tie).item() == packed(tie, B16).item() == 1.0 + 2**-7


def test_what_is_shifted_out_of_24_bits_is_not_rounded() -> None:
    assert stored(row(8192.0, 1056.0001), B8)[1] == 1024.0


def test_nothing_is_rounded_beyond_the_largest_magnitude() -> None:
    assert stored(row(127.9, -127.9), B8).tolist() == [127.0, -127.0]


def test_denormals_infinities_and_nans() -> None:
    """As ttnn 0.81.1 converts them; a NaN of few bits becomes an infinity."""
    inf, nan = torch.inf, torch.nan
    found = stored(row(inf, 1.0, 3e38, -inf, nan), B8)
    assert found[[0, 1, 3]].tolist() == [inf, 0.0, -inf]
    assert found[2] == pytest.approx(2.9775e38, rel=1e-4)
    assert found[4].isnan()
    assert not stored(row(1e-40, -1e-40), B8).any()
    faint = torch.tensor([0x7F800001, -0x7FFFFF], dtype=torch.int32).view(torch.float32)
    assert stored(faint, B4).tolist() == [inf, -inf]


def test_there_are_no_negative_zeros_in_block_floats() -> None:
    assert not torch.signbit(stored(row(1.0, -0.0, -1e-9), B8))[1:].any()


@pytest.mark.parametrize("dtype", [B16, B8, B4])
def test_what_is_stored_stays_as_it_is(dtype: DataType) -> None:
    values = torch.randn(64, 40, generator=torch.Generator().manual_seed(0))
    once = stored(values, dtype)
    assert torch.equal(stored(once, dtype), once)
    assert torch.equal(packed(once, dtype), once)
    assert once.shape == values.shape


def test_the_packer_is_that_of_a_typecast() -> None:
    cases = [case for case in CASES if case["op"] == "typecast"]
    assert {case["output_dtype"] for case in cases} == {"bfloat8_b", "bfloat4_b"}
    for case in cases:
        dtype = DataType(case["output_dtype"])
        found = packed(inputs_of(case)["a"], dtype, narrow=dtype is B4)
        assert torch.equal(found.reshape(case["output"]["shape"]), output_of(case)), case["id"]
