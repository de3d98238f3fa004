import math

import pytest
import torch

from autosched.numerics.comparison import agreement, is_discrete

TRUTH = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_truth_agrees_with_itself():
    same = agreement(TRUTH, TRUTH)
    assert same.pcc == pytest.approx(1.0)
    assert same.concordance == pytest.approx(1.0)
    assert (same.largest_error, same.top1) == (0.0, 1.0)


def test_a_pcc_is_that_of_torch():
    noisy = TRUTH + 0.3 * torch.randn(TRUTH.shape, generator=torch.Generator().manual_seed(1))
    both = torch.stack([noisy.flatten().double(), TRUTH.flatten().double()])
    assert agreement(noisy, TRUTH).pcc == pytest.approx(float(torch.corrcoef(both)[0, 1]))


def test_lins_concordance_by_his_formula():
    left, right = 1.5 * TRUTH + 0.2, TRUTH
    covariance = float(((left - left.mean()) * (right - right.mean())).double().mean())
    spread = float(left.var(correction=0) + right.var(correction=0))
    expected = 2 * covariance / (spread + float(left.mean() - right.mean()) ** 2)
    assert agreement(left, right).concordance == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("wrong", [2 * TRUTH, TRUTH + 3.0], ids=["scale", "mean"])
def test_a_pcc_is_blind_to_scale_and_mean(wrong: torch.Tensor):
    found = agreement(wrong, TRUTH)
    assert found.pcc == pytest.approx(1.0)
    assert found.concordance < 0.9


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_element_that_is_not_finite_is_enough(value: float):
    broken = TRUTH.clone()
    broken[0, 0, 0, 0] = value
    found = agreement(broken, TRUTH)
    assert (found.pcc, found.concordance, found.largest_error) == (-1.0, -1.0, math.inf)


def test_noise_agrees_with_nothing():
    noise = torch.randn(TRUTH.shape, generator=torch.Generator().manual_seed(2))
    assert abs(agreement(noise, TRUTH).concordance) < 0.2


@pytest.mark.parametrize(("result", "expected"), [(5.01, 1.0), (5.2, -1.0), (0.0, -1.0)])
def test_a_constant_truth_is_to_be_met(result: float, expected: float):
    truth = torch.full((1, 16), 5.0)
    found = agreement(torch.full((1, 16), result), truth)
    assert found.concordance == found.pcc == expected


def test_zeros_that_should_be_zeros():
    assert agreement(torch.zeros(1, 4), torch.zeros(1, 4)).concordance == 1.0


def test_a_constant_in_place_of_what_varies_is_wrong():
    found = agreement(torch.zeros_like(TRUTH), TRUTH)
    assert found.pcc == -1.0
    assert found.concordance == 0.0


def test_top1_counts_images():
    swapped = TRUTH.clone()
    swapped[1].flatten()[int(TRUTH[1].argmax())] = -10.0
    assert agreement(swapped, TRUTH).top1 == 0.5


def test_results_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 4\) is no \(4, 1\)"):
        agreement(torch.zeros(1, 4), torch.zeros(4, 1))


def test_of_indices_and_masks_it_is_the_share_that_is_equal():
    truth = torch.arange(8)
    found = agreement(torch.where(truth == 3, 0, truth), truth)
    assert found.equal == found.pcc == found.concordance == 0.875
    assert agreement(truth > 3, truth > 3).equal == 1.0
    assert agreement(TRUTH, TRUTH).equal is None


def test_complex_numbers_agree_in_both_parts():
    truth = torch.complex(TRUTH, TRUTH.roll(1, 0))
    assert agreement(truth, truth).pcc == pytest.approx(1.0)
    assert agreement(truth.conj().resolve_conj(), truth).concordance < 0.9


@pytest.mark.parametrize(
    ("values", "whole"),
    [
        (torch.arange(3), True),
        (TRUTH > 0, True),
        ((TRUTH > 0).float(), True),
        (TRUTH, False),
        (torch.tensor([1.0, math.nan]), False),
        (torch.complex(TRUTH, TRUTH), False),
    ],
)
def test_whole_numbers_of_any_type_are_discrete(values: torch.Tensor, whole: bool):
    assert is_discrete(values) is whole
