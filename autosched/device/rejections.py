"""From what ttnn throws to a typed rejection."""

import re

from autosched.schedule.outcomes import Rejection, RejectionKind

_INFO = re.compile(r"info:\s*(?P<text>.*?)\s*backtrace:", re.DOTALL)
_MAX_MESSAGE = 600

# What ttnn and its bindings raise for a configuration they do not take.
_REFUSALS = (RuntimeError, TypeError, ValueError)

# Patterns in the order they are tried; the texts are tt-metal's.
_KINDS = (
    (re.compile(r"clash with L1 buffers"), RejectionKind.CIRCULAR_BUFFER_CLASH),
    (
        re.compile(r"(circular|dataflow) buffers .*beyond max L1 size", re.DOTALL),
        RejectionKind.CIRCULAR_BUFFER_OVERFLOW,
    ),
    (re.compile(r"Out of Memory: .*\bL1(_SMALL)? buffer", re.DOTALL), RejectionKind.L1_OVERFLOW),
    (re.compile(r"Trying to allocate .* L1"), RejectionKind.L1_OVERFLOW),
)


class LayoutMismatchError(RuntimeError):
    """ttnn ran what it was asked in another layout; the message says what was asked, and got."""


def classify(error: BaseException, layer: str = "") -> Rejection:
    """Return the rejection that ``error`` amounts to, with ttnn's own words.

    An error that is no refusal (an assertion, a missing attribute) is a crash: a defect of ttnn or
    of autosched, that says nothing about the configuration.

    Only the text is kept: an exception's traceback would keep tensors, and with them L1, alive.
    """
    text = str(error)
    if not isinstance(error, _REFUSALS):
        words = f"{type(error).__name__}: {text}"[:_MAX_MESSAGE]
        return Rejection(RejectionKind.CRASH, words, layer)
    if isinstance(error, LayoutMismatchError):
        return Rejection(RejectionKind.LAYOUT_MISMATCH, text, layer)
    info = _INFO.search(text)
    message = (info["text"] if info else text).strip()[:_MAX_MESSAGE]
    for pattern, kind in _KINDS:
        if pattern.search(message):
            return Rejection(kind, message, layer)
    return Rejection(RejectionKind.INVALID, message or type(error).__name__, layer)
