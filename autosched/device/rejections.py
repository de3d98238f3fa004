"""From what ttnn throws to a typed rejection."""

import re

from autosched.errors import MachineError
from autosched.schedule.outcomes import Rejection, RejectionKind, is_machine_failure

_INFO = re.compile(r"info:\s*(?P<text>.*?)\s*backtrace:", re.DOTALL)
_MAX_MESSAGE = 600

# What ttnn and its bindings raise for a configuration they do not take.
_REFUSALS = (RuntimeError, TypeError, ValueError)
# What Python raises where the machine has failed it.
_MACHINE_ERRORS = (OSError, MemoryError)

# An assertion or throw in tt-metal's or ttnn's own host code, which is how both refuse.
_REFUSED = re.compile(r"\ATT_(?:FATAL|THROW) @ \S")
# nanobind's words where no overload takes the arguments.
_NOT_BOUND = re.compile(r"incompatible function arguments")

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


class RefusedError(RuntimeError):
    """A configuration that the lowering itself does not take; the message says why."""


class LayoutMismatchError(RuntimeError):
    """ttnn ran what it was asked in another layout; the message says what was asked, and got."""


def classify(error: BaseException, layer: str = "") -> Rejection:
    """Return the rejection that ``error`` amounts to, with ttnn's own words.

    It is a refusal where ttnn's host code or its bindings say so, in words that are known, or the
    lowering itself does. An error in other words is unclassified, and one of another type (an
    assertion, a missing attribute) is a crash, a defect of ttnn or of autosched: neither says
    anything about the configuration.

    Only the text is kept: an exception's traceback would keep tensors, and with them L1, alive.

    Raises:
        MachineError: if it tells of a failure of the machine.
    """
    text = str(error)
    if isinstance(error, _MACHINE_ERRORS) or is_machine_failure(text):
        raise MachineError(_failure(error, layer)) from None
    if not isinstance(error, _REFUSALS):
        return Rejection(RejectionKind.CRASH, _named(error)[:_MAX_MESSAGE], layer)
    if isinstance(error, LayoutMismatchError):
        return Rejection(RejectionKind.LAYOUT_MISMATCH, text, layer)
    message = refusal_words(error)
    for pattern, kind in _KINDS:
        if pattern.search(message):
            return Rejection(kind, message, layer)
    is_ours = isinstance(error, RefusedError)
    is_refused = is_ours or _REFUSED.match(text) or _NOT_BOUND.search(text)
    kind = RejectionKind.INVALID if is_refused else RejectionKind.UNCLASSIFIED
    return Rejection(kind, message if is_refused else _named(error)[:_MAX_MESSAGE], layer)


def refusal_words(error: BaseException) -> str:
    """Return what ttnn says in an error, without its frame of place and backtrace."""
    text = str(error)
    info = _INFO.search(text)
    return (info["text"] if info else text).strip()[:_MAX_MESSAGE] or type(error).__name__


def _named(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _failure(error: BaseException, layer: str) -> str:
    where = f" at layer {layer}" if layer else ""
    words = _named(error) if isinstance(error, _MACHINE_ERRORS) else refusal_words(error)
    return f"the machine failed{where}, not what was asked of it: {words}"
