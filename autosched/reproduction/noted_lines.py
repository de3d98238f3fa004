"""Assignments as text, and the names that values have in them."""

import enum
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_GENERATOR = "torch.Generator().manual_seed({seed})"


class Parameter(float):
    """A number that stands in the text by the name of a parameter."""

    def __new__(cls, value: float, _name: str) -> "Parameter":
        """Return the number."""
        return super().__new__(cls, value)

    def __init__(self, _value: float, name: str) -> None:
        super().__init__()
        self.name = name


class NotedLines:
    """Lines of the form ``name = call(...)``, in the order in which the calls were made.

    ``special`` returns the text of values that only others can write, None for all else. Values
    are known by identity, and kept: a new object must not be taken for one that is gone.
    """

    def __init__(self, special: Callable[[Any], str | None] = lambda _value: None) -> None:
        self.lines: list[str] = []
        self._special = special
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []
        self._count = 0

    def name(self, value: Any, name: str) -> None:
        """Have a value stand in the text as ``name``, or by an expression."""
        self._names[id(value)] = name
        self._kept.append(value)

    def note(self, result: Any, call: str, given: Sequence[Any] = ()) -> None:
        """Note the call that made ``result``, and the items of one that is a sequence.

        What returned one of the values that it was ``given`` made nothing.
        """
        if id(result) in self._names or any(result is item for item in given):
            return
        self._count += 1
        name = f"t{self._count}"
        self.lines.append(f"{name} = {call}")
        self._name_all(result, name)

    def _name_all(self, value: Any, name: str) -> None:
        if value is None:  # it is the same wherever it stands
            return
        self.name(value, name)
        for number, item in enumerate(value if isinstance(value, list | tuple) else ()):
            self._name_all(item, f"{name}[{number}]")

    def cut(self) -> list[str]:
        """Return the lines so far, and begin anew; the names stay."""
        lines, self.lines = self.lines, []
        return lines

    def statement(self, text: str) -> None:
        """Note a call of which nothing is used."""
        self.lines.append(text)

    def text(self, value: Any) -> str:
        """Return a value as Python.

        Raises:
            LookupError: if it cannot be written, with its type.
        """
        known = self._names.get(id(value))
        if known is not None:
            return known
        if isinstance(value, Parameter):
            return value.name
        if isinstance(value, list | tuple):
            return _sequence(value, [self.text(item) for item in value])
        if isinstance(value, enum.Enum):
            return f"ttnn.{type(value).__name__}.{value.name}"
        if value is None or isinstance(value, bool | int | float | str | slice):
            return repr(value)
        special = self._special(value) or _torch_text(value, self)
        if special is None:
            raise LookupError(f"a {type(value).__module__}.{type(value).__name__}")
        return special


def _sequence(value: list[Any] | tuple[Any, ...], items: Iterable[str]) -> str:
    inside = ", ".join(items)
    if isinstance(value, list):
        return f"[{inside}]"
    return f"({inside},)" if len(value) == 1 else f"({inside})"


def _torch_text(value: Any, lines: NotedLines) -> str | None:
    """Return PyTorch's own values as text; a generator is made where it is first met."""
    kind = f"{type(value).__module__}.{type(value).__name__}"
    if kind in ("torch.dtype", "torch.memory_format"):
        return str(value)
    if kind == "torch._C.Generator":
        lines.note(value, _GENERATOR.format(seed=value.initial_seed()))
        return lines.text(value)
    return None


def used_lines(lines: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Return the lines whose names others use, or that are ``wanted``; statements stay."""
    needed = set(wanted)
    kept: list[str] = []
    for line in reversed(list(lines)):
        target, separator, value = line.partition(" = ")
        is_assignment = bool(separator) and target.isidentifier()
        if is_assignment and target not in needed:
            continue
        needed |= _identifiers(value if is_assignment else line)
        kept.append(line)
    return kept[::-1]


def _identifiers(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))
