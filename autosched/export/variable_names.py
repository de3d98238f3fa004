"""Names for the values of a program, so that each is there as long as it is used.

What is used by the next layer alone is ``x``, what waits for a later one bears the name of its
layer. Values are given up after their last use: by another one of the same name, or by ``del``.
"""

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_SHORT = ("x", "y", "z")
_RESERVED = {
    *_SHORT,
    *("ttnn", "torch", "device", "weights", "inputs", "conv2d", "prepared", "model"),
    *("cores", "sharded"),
}
_NO_LAYERS = re.compile(r"t\d+|[A-Z_0-9]+")


@dataclass(frozen=True)
class Made:
    """One statement of a program: the value that it makes of others, in the layer of a number.

    ``of_layer`` is the name of the layer whose output it makes, or moves; "" for all else.
    """

    value: str
    used: frozenset[str]
    layer: int
    of_layer: str = ""


@dataclass(frozen=True)
class Named:
    """How a statement names its arguments and its value, and which names it gives up after."""

    arguments: Mapping[str, str]
    value: str
    given_up: tuple[str, ...]


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """Return the names of layers and parameters as Python's, each another one."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        text = re.sub(r"\W", "_", name)
        if not text or text[0].isdigit():
            text = f"layer_{text}"
        if _is_reserved(text):
            text = f"{text}_layer"
        while text in taken:
            text += "_"
        taken.add(text)
        found[name] = text
    return found


def _is_reserved(text: str) -> bool:
    """Return whether a name means something else in the program."""
    return keyword.iskeyword(text) or text in _RESERVED or bool(_NO_LAYERS.fullmatch(text))


def named(
    statements: Sequence[Made], returned: Sequence[str], layers: Mapping[str, str]
) -> tuple[list[Named], list[str]]:
    """Return how each statement names its values, and the names of those that are ``returned``.

    ``layers`` has the names for what waits, by layer.
    """
    last = {value: at for at, item in enumerate(statements) for value in item.used}
    last |= dict.fromkeys(returned, len(statements))
    reader = {
        value: max(item.layer for item in statements if value in item.used)
        for value in set().union(*(item.used for item in statements))
    }
    names: dict[str, str] = {}
    held: dict[str, str] = {}
    found = []
    for at, item in enumerate(statements):
        arguments = {value: names[value] for value in item.used}
        ends = [value for value in item.used if last[value] == at]
        free = {names[value] for value in ends}
        waits = item.value in returned or reader.get(item.value, -1) > item.layer + 1
        name = layers[item.of_layer] if item.of_layer and waits else _short(held, free)
        for value in ends:
            held.pop(names[value], None)
        names[item.value] = name
        held[name] = item.value
        gone = sorted(free - {name})
        if item.value not in last:
            gone.append(name)
            held.pop(name)
        found.append(Named(arguments, name, tuple(gone)))
    return found, [names[value] for value in returned]


def _short(held: Mapping[str, str], free: set[str]) -> str:
    """Return a short name: of what is given up just now, else one that nothing has."""
    for name in _SHORT:
        if name in free:
            return name
    numbered = (f"t{number}" for number in range(len(_SHORT) + 1, len(held) + 5))
    return next(name for name in (*_SHORT, *numbered) if name not in held or name in free)
