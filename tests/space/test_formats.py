"""What a user may call a format, and what is said of formats."""

import pytest

from autosched.errors import SearchError
from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import DataType
from autosched.space.formats import FORMAT_FIELDS, FormatPin, Formats, parse_formats, read_format


def test_the_default_is_said_in_words() -> None:
    assert parse_formats() == Formats()
    assert str(Formats()) == (
        "weights bfloat8_b, activations bfloat8_b (bfloat16 at both ends), "
        "LoFi (HiFi2 at both ends)"
    )


def test_a_named_fidelity_holds_at_the_ends_too() -> None:
    formats = parse_formats("bfloat4_b", "BFLOAT16", "hifi3")
    assert formats == Formats(
        weights=DataType.BFLOAT4_B,
        activations=DataType.BFLOAT16,
        fidelity=Fidelity.HIFI3,
        end_fidelity=Fidelity.HIFI3,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("float32",), "--weights 'float32' is not one of bfloat16, bfloat8_b, bfloat4_b"),
        (("", "bfloat4_b"), "--activations 'bfloat4_b' is not one of bfloat16, bfloat8_b"),
        (("", "", "high"), "--fidelity 'high' is not one of LoFi, HiFi2, HiFi3, HiFi4"),
    ],
)
def test_an_illegal_format_is_refused_with_the_legal_ones(
    words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SearchError, match=message):
        parse_formats(*words)


def test_pins_are_counted_in_words() -> None:
    pinned = Formats(pins=(FormatPin("conv1", "weights_dtype", "bfloat16"),))
    assert str(pinned).endswith(", 1 pinned")
    assert pinned.unpinned == Formats()


def test_a_pinned_format_is_one_of_its_fields() -> None:
    assert read_format("weights_dtype", "BFLOAT4_B") is DataType.BFLOAT4_B
    assert read_format("math_fidelity", "hifi4") is Fidelity.HIFI4
    assert read_format("fp32_dest_acc_en", "true") is True
    for field in FORMAT_FIELDS:
        with pytest.raises(SearchError, match=f"{field} 'float64' is not one of "):
            read_format(field, "float64")
