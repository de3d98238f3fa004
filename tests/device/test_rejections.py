import pytest

from autosched.device.rejections import LayoutMismatchError, RefusedError, classify
from autosched.errors import MachineError
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


FRAME = "TT_FATAL @ /project/ttnn/cpp/x.cpp:1: x\ninfo:\n{}\nbacktrace:\n --- frame"


@pytest.mark.parametrize(
    ("kind", "text"), [(k, text) for k, texts in TEXTS.items() for text in texts]
)
def test_texts_have_their_kind(kind: RejectionKind, text: str) -> None:
    assert classify(RuntimeError(FRAME.format(text)), "conv1") == Rejection(kind, text, "conv1")
    if kind is not RejectionKind.INVALID:
        assert classify(RuntimeError(text)) == Rejection(kind, text)


def test_an_assertion_without_words_of_its_own_is_a_refusal() -> None:
    bare = "TT_FATAL @ /project/ttnn/cpp/x.cpp:7: a == b\nbacktrace:\n --- frame"
    assert classify(RuntimeError(bare)).kind is RejectionKind.INVALID


def test_what_the_lowering_does_not_take_is_a_refusal() -> None:
    error = RefusedError("softmax runs along channels or features only")
    assert classify(error, "soft") == Rejection(RejectionKind.INVALID, str(error), "soft")


def test_bindings_that_take_no_such_argument_are_invalid() -> None:
    text = "conv2d(): incompatible function arguments. The following argument types are supported"
    assert classify(TypeError(text)).kind is RejectionKind.INVALID


def test_another_layout_than_asked_is_a_mismatch() -> None:
    rejection = classify(LayoutMismatchError("asked L1 height, got DRAM"), "conv1")
    assert rejection == Rejection(
        RejectionKind.LAYOUT_MISMATCH, "asked L1 height, got DRAM", "conv1"
    )


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("an op nobody has heard of failed"),
        RuntimeError("Config Error"),
        ValueError("math domain error"),
        TypeError("unsupported operand"),
    ],
)
def test_words_that_nobody_knows_are_unclassified_and_kept(error: Exception) -> None:
    rejection = classify(error, "conv1")
    assert (rejection.kind, rejection.layer) == (RejectionKind.UNCLASSIFIED, "conv1")
    assert rejection.message == f"{type(error).__name__}: {error}"


def test_an_error_without_words_has_its_name() -> None:
    assert classify(ValueError("")).message == "ValueError"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(FRAME.format("trisc0 build failed. Log: x.o: No space left on device")),
        RuntimeError("filesystem error: cannot create directories: Permission denied [/cache]"),
        OSError(28, "No space left on device"),
        FileNotFoundError(2, "No such file or directory"),
        MemoryError("std::bad_alloc"),
    ],
)
def test_a_failure_of_the_machine_is_no_rejection(error: Exception) -> None:
    with pytest.raises(MachineError, match="the machine failed at layer conv1"):
        classify(error, "conv1")


def test_what_is_no_refusal_is_a_crash() -> None:
    for error in (AssertionError("x"), AttributeError("x"), KeyError("x")):
        rejection = classify(error)
        assert rejection.kind is RejectionKind.CRASH
        assert rejection.message.startswith(type(error).__name__)


def test_long_texts_are_cut() -> None:
    assert len(classify(RuntimeError(FRAME.format("x" * 10_000))).message) == 600
    assert len(classify(RuntimeError("x" * 10_000)).message) == 600
    assert len(classify(AssertionError("x" * 10_000)).message) == 600
