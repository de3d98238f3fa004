"""Python expressions as text, laid out as ``ruff format`` would leave them."""

from dataclasses import dataclass
from typing import TypeAlias

LINE_LENGTH = 100
_INDENT = "    "


@dataclass(frozen=True)
class Call:
    """A call with positional arguments, then keywords."""

    function: str
    arguments: tuple["Node", ...] = ()
    keywords: tuple[tuple[str, "Node"], ...] = ()


@dataclass(frozen=True)
class Table:
    """A dict literal with text keys, one entry a line."""

    entries: tuple[tuple[str, "Node"], ...] = ()


Node: TypeAlias = str | Call | Table
"""An expression: source text that stays on one line, a call, or a table."""


def quoted(text: str) -> str:
    """Return a string literal, in double quotes where that needs no escapes."""
    literal = repr(text)
    if literal[0] == "'" and '"' not in literal:
        return f'"{literal[1:-1]}"'
    return literal


def prose(text: str) -> str:
    """Return text as it may stand inside a docstring of double quotes, on one line."""
    escaped = " ".join(text.split()).encode("unicode_escape").decode("ascii")
    return escaped.replace('"', '\\"')


def assignment(name: str, node: Node) -> str:
    """Return ``name = node`` with a line break at its end."""
    return f"{name} = {_text(node, 0, len(name) + 3)}\n"


def _text(node: Node, depth: int, used: int) -> str:
    """Return the text of ``node`` after ``used`` characters of a line indented by ``depth``."""
    if not isinstance(node, Table) or not node.entries:
        flat = _flat(node)
        if isinstance(node, str) or used + len(flat) + 1 <= LINE_LENGTH:
            return flat
    pad = _INDENT * (depth + 1)
    items = "".join(
        f"{pad}{lead}{_text(item, depth + 1, len(pad) + len(lead))},\n"
        for lead, item in _items(node)
    )
    opening, closing = _brackets(node)
    return f"{opening}\n{items}{_INDENT * depth}{closing}"


def _flat(node: Node) -> str:
    if isinstance(node, str):
        return node
    opening, closing = _brackets(node)
    return opening + ", ".join(lead + _flat(item) for lead, item in _items(node)) + closing


def _items(node: Call | Table) -> list[tuple[str, Node]]:
    if isinstance(node, Table):
        return [(f"{quoted(key)}: ", item) for key, item in node.entries]
    keywords = [(f"{name}=", item) for name, item in node.keywords]
    return [("", item) for item in node.arguments] + keywords


def _brackets(node: Call | Table) -> tuple[str, str]:
    return ("{", "}") if isinstance(node, Table) else (f"{node.function}(", ")")


def functions_called(node: Node) -> set[str]:
    """Return the name of every function that ``node`` calls."""
    if isinstance(node, str):
        return set()
    names = {node.function} if isinstance(node, Call) else set()
    return names.union(*(functions_called(item) for _, item in _items(node)))
