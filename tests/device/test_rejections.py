import pytest

from autosched.device.rejections import classify
from autosched.schedule.outcomes import Rejection, RejectionKind

TEXTS = {
    RejectionKind.CIRCULAR_BUFFER_OVERFLOW: (
        "Statically allocated circular buffers on core range [0-0 - 1-0] grow to 2273568 B which "
        "is beyond max L1 size of 1499136 B",
        "Statically allocated dataflow buffers on core range [0-0 - 6-0] grow to 4631904 B which "
        "is beyond max L1 size of 1499136 B",
    ),
    RejectionKind.CIRCULAR_BUFFER_CLASH: (
        "Statically allocated circular buffers in program 148 clash with L1 buffers on core range "
        "[0-0 - 7-7]. L1 buffer allocated at 938496 and static circular buffer region ends at 1",
    ),
    RejectionKind.L1_OVERFLOW: (
        "Out of Memory: Not enough space to allocate 2097152 B L1 buffer across 1 banks",
        "Out of Memory: Not enough space to allocate 512 B L1_SMALL buffer across 64 banks",
    ),
    RejectionKind.INVALID: (
        "Config Error: act_block_h_override (48) must be a multiple of 32 (tile height).",
        "Out of Memory: Not enough space to allocate 99 B DRAM buffer across 12 banks",
    ),
}


@pytest.mark.parametrize(
    ("kind", "text"), [(k, text) for k, texts in TEXTS.items() for text in texts]
)
def test_texts_have_their_kind(kind: RejectionKind, text: str) -> None:
    framed = RuntimeError(f"TT_FATAL @ file.cpp:1: x\ninfo:\n{text}\nbacktrace:\n --- frame")
    assert classify(framed, "conv1") == Rejection(kind, text, "conv1")
    assert classify(RuntimeError(text)) == Rejection(kind, text)


def test_bindings_that_take_no_such_argument_are_invalid() -> None:
    assert classify(TypeError("incompatible function arguments")).kind is RejectionKind.INVALID
    assert classify(ValueError("")).message == "ValueError"


def test_what_is_no_refusal_is_a_crash() -> None:
    for error in (AssertionError("x"), AttributeError("x"), KeyError("x"), MemoryError("x")):
        rejection = classify(error)
        assert rejection.kind is RejectionKind.CRASH
        assert rejection.message.startswith(type(error).__name__)


def test_long_texts_are_cut() -> None:
    assert len(classify(RuntimeError("x" * 10_000)).message) == 600
    assert len(classify(AssertionError("x" * 10_000)).message) == 600
