"""Calls to PyTorch and to ttnn, noted as the Python that makes them again.

The modules that call ttnn are handed a stand-in for it, which makes each call and notes it. What
makes a tensor becomes a line, what makes a configuration an expression in the line that takes it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from types import ModuleType
from typing import Any

import torch
import ttnn
from torch.overrides import TorchFunctionMode, resolve_name

from autosched.reproduction.noted_lines import NotedLines

_OF_A_TENSOR = "torch.Tensor."
_PROPERTY = ".__get__"


class TorchNotes(TorchFunctionMode):
    """While it is active, every call to PyTorch that makes a tensor is noted.

    What is called within PyTorch's own functions is not.
    """

    def __init__(self, lines: NotedLines) -> None:
        super().__init__()
        self._lines = lines

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Make the call, and note it if a tensor came of it."""
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self._lines.note(result, self._call(function, args, kwargs or {}), args)
        return result

    def _subscript(self, index: Any) -> str:
        if isinstance(index, tuple) and index:
            return ", ".join(map(self._subscript, index))
        if not isinstance(index, slice):
            return self._lines.text(index)
        parts = [index.start, index.stop, *([] if index.step is None else [index.step])]
        return ":".join("" if part is None else self._lines.text(part) for part in parts)

    def _call(
        self, function: Callable[..., Any], args: tuple[Any, ...], keywords: Mapping[str, Any]
    ) -> str:
        name = resolve_name(function) or f"torch.{function.__name__}"
        texts = [self._lines.text(item) for item in args]
        given = [f"{key}={self._lines.text(value)}" for key, value in keywords.items()]
        if not name.startswith(_OF_A_TENSOR):
            return f"{name}({', '.join([*texts, *given])})"
        method = name.removeprefix(_OF_A_TENSOR)
        if method.endswith(_PROPERTY):
            return f"{texts[0]}.{method.removesuffix(_PROPERTY)}"
        if method == "__getitem__":
            return f"{texts[0]}[{self._subscript(args[1])}]"
        return f"{texts[0]}.{method}({', '.join([*texts[1:], *given])})"


_CALLERS = "autosched.device.ttnn."
_OPERATION = type(ttnn.add)


class TtnnNotes:
    """Stands for ttnn, or a part of it, under ``name``."""

    def __init__(self, part: Any, name: str, lines: NotedLines) -> None:
        self._part = part
        self._name = name
        self._lines = lines

    def __getattr__(self, name: str) -> Any:
        """Return a part, a function or class whose calls are noted, or a value with its name."""
        value = getattr(self._part, name)
        text = f"{self._name}.{name}"
        if isinstance(value, ModuleType):
            return TtnnNotes(value, text, self._lines)
        if isinstance(value, Enum) or (isinstance(value, type) and issubclass(value, Enum)):
            return value
        if callable(value):
            return noted(value, text, self._lines)
        self._lines.name(value, text)
        return value


def noted(function: Callable[..., Any], name: str, lines: NotedLines) -> Callable[..., Any]:
    """Return a function that does the same, and notes that it was called as ``name``."""

    def call(*args: Any, **keywords: Any) -> Any:
        texts = [lines.text(item) for item in args]
        texts += [f"{key}={lines.text(value)}" for key, value in keywords.items()]
        with torch._C.DisableTorchFunction():
            result = function(*args, **keywords)
        text = f"{name}({', '.join(texts)})"
        if result is None:
            lines.statement(text)
        elif _has_tensor(result):
            lines.note(result, text, (*args, *keywords.values()))
        elif not isinstance(result, bool | int | float | str):
            lines.name(result, text)
        return result

    return call


@contextmanager
def noting_ttnn(lines: NotedLines) -> Iterator[None]:
    """Note what the modules of ``autosched.device.ttnn`` call while the body runs."""
    stand_in = TtnnNotes(ttnn, "ttnn", lines)
    before: list[tuple[ModuleType, str, Any]] = []
    for module in [item for name, item in sys.modules.items() if name.startswith(_CALLERS)]:
        for name, value in list(vars(module).items()):
            if value is ttnn:
                new: Any = stand_in
            elif isinstance(value, dict) and any(isinstance(i, _OPERATION) for i in value.values()):
                new = {key: _noted_operation(item, lines) for key, item in value.items()}
            else:
                continue
            before.append((module, name, value))
            setattr(module, name, new)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def memory_argument(value: Any) -> str | None:
    """Return a memory configuration that a tensor was asked for as Python, None for all else."""
    if not isinstance(value, ttnn.MemoryConfig):
        return None
    layout, buffer = (
        f"ttnn.{type(item).__name__}.{item.name}"
        for item in (value.memory_layout, value.buffer_type)
    )
    spec = value.shard_spec
    if spec is None:
        return f"ttnn.MemoryConfig({layout}, {buffer})"
    ranges = ", ".join(
        f"ttnn.CoreRange(ttnn.CoreCoord({part.start.x}, {part.start.y}), "
        f"ttnn.CoreCoord({part.end.x}, {part.end.y}))"
        for part in spec.grid.ranges()
    )
    orientation = f"ttnn.ShardOrientation.{spec.orientation.name}"
    shard = f"ttnn.ShardSpec(ttnn.CoreRangeSet([{ranges}]), {list(spec.shape)}, {orientation})"
    return f"ttnn.MemoryConfig({layout}, {buffer}, {shard})"


def _noted_operation(item: Any, lines: NotedLines) -> Any:
    if not isinstance(item, _OPERATION):
        return item
    return noted(item, item.python_fully_qualified_name, lines)


def _has_tensor(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_has_tensor, value))
    return isinstance(value, ttnn.Tensor | torch.Tensor)
