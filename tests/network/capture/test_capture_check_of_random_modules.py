"""Random modules are captured as what they compute, or refused."""

from collections import Counter

import pytest

from autosched.errors import UnsupportedOperatorError
from autosched.network.capture.capture import capture_unchecked
from autosched.network.capture.capture_check import LIMIT, check_capture
from autosched.network.rules.views import View
from tests.network.random_modules import RandomModule

FEW, MANY = range(60), range(60, 2060)


def outcome(seed: int) -> str:
    module = RandomModule(seed)
    try:
        captured = capture_unchecked(module, (module.example,))
    except UnsupportedOperatorError:
        return "refused"
    try:
        found = check_capture(module, (module.example,), captured)
    except Exception as error:
        raise AssertionError(f"module {seed}: {'; '.join(module.story)}") from error
    assert found.difference is not None
    return "right" if max(found.difference, found.drawn or 0.0) <= LIMIT else "rounding"


def test_few() -> None:
    found = Counter(map(outcome, FEW))
    assert found["right"] >= 55


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many() -> None:
    found = Counter(map(outcome, MANY))
    assert found["right"] >= 0.95 * len(MANY)
    assert found["rounding"] <= 0.01 * len(MANY)


def test_they_find_attention_over_the_wrong_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and batches of tokens were attended to as the tensor that they are cut from."""
    monkeypatch.setattr(View, "keeps_images", property(lambda _: True))
    with pytest.raises(AssertionError, match=r"module 19: .*MultiheadAttention"):
        outcome(19)
