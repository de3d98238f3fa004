"""Calls to PyTorch, noted as the Python that makes them again."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
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
            self._lines.note(result, self._call(function, args, kwargs or {}))
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
