"""Names of layers and places in the user's source, read from an exported graph's nodes."""

import os
import re
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch.fx import Node

_TORCH_HOME = os.path.dirname(torch.__file__) + os.sep
_AUTOSCHED_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_CALL_NUMBER = re.compile(r"@\d+")
_FORBIDDEN = re.compile(r"[^\w.]")


@dataclass(frozen=True)
class SourcePlace:
    """Where an operator comes from.

    ``owner`` is the path of the module that calls it ("layer1.0"), ``is_layer`` whether that
    module is one of PyTorch's own layers, ``source`` the user's "file.py:line" or "".
    """

    owner: str = ""
    is_layer: bool = False
    source: str = ""

    def name(self, operator: str) -> str:
        """The natural name of what ``operator`` becomes: the layer's path or owner.operator."""
        if self.is_layer and self.owner:
            return self.owner
        return f"{self.owner}.{operator}" if self.owner else operator


def source_place_of(node: Node) -> SourcePlace:
    """Read a node's module path and source line."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return SourcePlace(
        owner=_FORBIDDEN.sub("_", _CALL_NUMBER.sub("", path)),
        is_layer=kind.startswith("torch.nn.modules."),
        source=source_in_text(node.meta.get("stack_trace") or ""),
    )


def source_in_text(text: str) -> str:
    """The innermost frame outside PyTorch in a printed stack, as "file.py:line", or ""."""
    return _innermost((file, int(line)) for file, line in _FRAME.findall(text))


def source_of_error(error: BaseException, file: str = "") -> str:
    """The innermost frame that an exception passed through in ``file``, or else outside PyTorch.

    "file.py:line", or "" where the exception never was in the user's code.
    """
    trace = traceback.extract_tb(error.__traceback__)
    frames = [(frame.filename, frame.lineno or 0) for frame in trace]
    return _innermost([frame for frame in frames if frame[0] == file] or frames)


def source_of_call() -> str:
    """The innermost frame outside PyTorch of what is running now, as "file.py:line", or ""."""
    frames = traceback.extract_stack()
    return _innermost((frame.filename, frame.lineno or 0) for frame in frames)


def _innermost(frames: Iterable[tuple[str, int]]) -> str:
    theirs = [
        f"{os.path.basename(file)}:{line}"
        for file, line in frames
        if not file.startswith((_TORCH_HOME, _AUTOSCHED_HOME, "<"))
    ]
    return theirs[-1] if theirs else ""


def unique_names(wanted: Sequence[str]) -> list[str]:
    """Number repeated names from the second on ("relu", "relu_2"), avoiding every other name."""
    reserved = set(wanted)
    names: dict[str, None] = {}
    for base in wanted:
        numbered = (f"{base}_{number}" for number in count(2))
        free = (name for name in numbered if name not in reserved and name not in names)
        names[base if base not in names else next(free)] = None
    return list(names)
