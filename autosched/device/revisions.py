"""Which state of the code answered a probe: a digest of the source that decided it.

A stored answer is used again only while the code that would be asked today is the same, so that a
mended lowering never lives on in old answers. Comments, docstrings, formatting, imports and the
names of the files do not count. The sources are read as text: ttnn is not loaded.

ttnn's version has a column of its own in a probe's key. What all rooms share as words
(``schedule``, ``network.graph``, the facts of ``boards``) is no part of a revision: operators,
configurations and layouts are in the key as values.
"""

import ast
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from autosched.network.operators import LayerOp, Operator
from autosched.schedule.serialization import digest

_HERE = Path(__file__).parent

SHARED = (
    "asked_layouts.py",
    "rejections.py",
    "ttnn/calls.py",
    "ttnn/graph_capture.py",
    "ttnn/local_device.py",
    "ttnn/runner.py:checked",
    "ttnn/runner.py:is_handed_back",
    "ttnn/runner.py:placed",
    "ttnn/runner.py:run_layer",
    "ttnn/ttnn_types.py",
    "../boards.py:L1_SMALL_BYTES",
    "../network/left_layouts.py",
    "../network/legal_values.py",
)
"""What decides every probe: files relative to this one, or ``FILE:NAME`` for one definition."""
BESIDE = {
    "convolutions": (
        "../network/narrow_images.py",
        "../network/operators.py:is_pointwise",
        "../network/stem_folding.py",
    ),
    "inputs_outputs": ("../network/read_layouts.py:uploaded",),
    "pooling": ("../network/narrow_images.py",),
}
"""What decides the probes of a family of operators beside its file and what all share."""
EXECUTION = (
    "ttnn/execution.py",
    "ttnn/inputs_outputs.py",
    "ttnn/runner.py:read_back",
    "../network/reference.py",
    "../numerics/comparison.py",
)
"""What decides a verdict on executed kernels beside what decides a probe."""
OPERATORS: tuple[type[Operator], ...] = get_args(LayerOp)


def revision_of(op: type[Operator]) -> str:
    """Return the revision of what runs a class of operators."""
    return _revision((*SHARED, f"ttnn/{op.family}.py", *BESIDE.get(op.family, ())))


def reshard_revision() -> str:
    """Return the revision of what brings a tensor from one layout into another."""
    return _revision(SHARED)


def execution_revision_of(op: type[Operator]) -> str:
    """Return the revision of what executes a class of operators and compares the result."""
    return digest([revision_of(op), _revision(EXECUTION)])


def reshard_execution_revision() -> str:
    """Return the revision of what executes a change of layout and compares the result."""
    return digest([reshard_revision(), _revision(EXECUTION)])


def current_execution_revisions() -> frozenset[str]:
    """Return all revisions that this code can give a verdict: one of any other is stale."""
    return frozenset([reshard_execution_revision(), *map(execution_revision_of, OPERATORS)])


def current_revisions() -> frozenset[str]:
    """Return all revisions that this code can give: a probe of any other one is stale."""
    return frozenset([reshard_revision(), *map(revision_of, OPERATORS)])


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
        return [_plain(part) for part in item if not _says_nothing(part)]
    return [] if item is None else [type(item).__name__, repr(item)]


def _says_nothing(item: Any) -> bool:
    """Whether it is a docstring, or an import: what that brings is in the files listed above."""
    return isinstance(item, ast.Import | ast.ImportFrom) or (
        isinstance(item, ast.Expr)
        and isinstance(item.value, ast.Constant)
        and isinstance(item.value.value, str)
    )
