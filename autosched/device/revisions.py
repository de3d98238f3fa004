"""Which state of the code answered a probe: a digest of the source that decided it.

A stored answer is used again only while the code that would be asked today is the same, so that a
mended lowering never lives on in old answers. Comments, docstrings and formatting do not count,
nor do the names of the files. The sources are read as text: ttnn is not loaded.

ttnn's version has a column of its own in a probe's key. What all rooms share as words
(``schedule``, ``network.graph``, the facts of ``boards``) is no part of a revision: operators,
configurations and layouts are in the key as values.
"""

import ast
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autosched.network.operators import (
    Attention,
    Binary,
    Concat,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Crop,
    GlobalAvgPool2d,
    GroupNorm,
    HostOp,
    Input,
    LayerNorm,
    Linear,
    Matmul,
    Output,
    Pad,
    Permute,
    PixelShuffle,
    Pool2d,
    Reshape,
    Slice,
    Softmax,
    Unary,
    Upsample,
)
from autosched.schedule.serialization import digest

_HERE = Path(__file__).parent

SHARED = (
    "graph_capture.py",
    "layer_calls.py",
    "local.py",
    "lowering.py",
    "rejections.py",
    "transfers.py",
    "ttnn_types.py",
    "../boards.py:L1_SMALL_BYTES",
)
"""What decides every probe: files relative to this one, or ``FILE:NAME`` for one definition."""
FAMILIES = {
    "convolutions": (
        "convolution_calls.py",
        "../network/stem_folding.py",
        "../space/conv2d.py:is_pointwise",
    ),
    "eltwise": ("eltwise_calls.py",),
    "host": ("host_calls.py",),
    "images": ("image_calls.py",),
    "layers": ("layer_calls.py",),
    "rearranging": ("rearranging_calls.py",),
    "tokens": ("token_calls.py",),
}
"""What decides the probes of a family of operators beside what all share."""
FAMILY_OF: dict[type, str] = {
    **dict.fromkeys((Conv2d, ConvTranspose2d), "convolutions"),
    **dict.fromkeys((Binary, Unary, Softmax), "eltwise"),
    HostOp: "host",
    **dict.fromkeys((Concat, Slice, Crop, Pad, PixelShuffle, Upsample), "images"),
    **dict.fromkeys((Input, Constant, Output, Linear, Pool2d, GlobalAvgPool2d), "layers"),
    **dict.fromkeys((Permute, Reshape), "rearranging"),
    **dict.fromkeys((LayerNorm, GroupNorm, Matmul, Attention), "tokens"),
}


def revision_of(op: type) -> str:
    """Return the revision of what runs a class of operators.

    Raises:
        KeyError: if it is in no family.
    """
    return _revision((*SHARED, *FAMILIES[FAMILY_OF[op]]))


def reshard_revision() -> str:
    """Return the revision of what brings a tensor from one layout into another."""
    return _revision(SHARED)


def current_revisions() -> frozenset[str]:
    """Return all revisions that this code can give: a probe of any other one is stale."""
    return frozenset([reshard_revision(), *map(revision_of, FAMILY_OF)])


@functools.cache
def _revision(places: tuple[str, ...]) -> str:
    return digest(sorted({_place_digest(place) for place in places}))


@functools.cache
def _place_digest(place: str) -> str:
    file, _, name = place.partition(":")
    return source_digest((_HERE / file).read_text(encoding="utf-8"), name)


def source_digest(source: str, name: str = "") -> str:
    """Identify what Python source says, or its top-level definition ``name`` alone.

    The same under every version of Python.

    Raises:
        LookupError: if nothing at the top level has that name.
    """
    statements = ast.parse(source).body
    if name:
        statements = [statement for statement in statements if name in _names(statement)]
        if not statements:
            raise LookupError(f"there is no top-level definition {name!r}")
    return digest(_plain(statements))


def _names(statement: ast.stmt) -> Iterable[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _plain(item: Any) -> Any:
    """Return a syntax tree as lists and words.

    What is empty is left out: later versions of Python have fields that earlier ones lack.
    """
    if isinstance(item, ast.JoinedStr):
        # Python 3.12 ends a format with an empty part where 3.10 has none.
        parts = [_plain(part) for part in item.values]
        return ["JoinedStr", *[part for part in parts if part != _plain(ast.Constant(""))]]
    if isinstance(item, ast.AST):
        fields = ((name, _plain(value)) for name, value in ast.iter_fields(item) if name != "kind")
        return [type(item).__name__, *([name, value] for name, value in fields if value != [])]
    if isinstance(item, list):
        return [_plain(part) for part in item if not _is_docstring(part)]
    return [] if item is None else [type(item).__name__, repr(item)]


def _is_docstring(item: Any) -> bool:
    return (
        isinstance(item, ast.Expr)
        and isinstance(item.value, ast.Constant)
        and isinstance(item.value.value, str)
    )
