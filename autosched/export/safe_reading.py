"""An exported module read as data: nothing of the file is executed.

The form that :mod:`autosched.export.config_module` writes is regular: two imports, definitions that
are always the same, and names for values made of literals, ttnn's words and calls of its
configurations. Values are built from the syntax tree with definitions of our own; whatever else
stands in the file is refused with its line, before any of it could do anything.
"""

import ast
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from autosched.errors import ScheduleError
from autosched.export.diagnosis import first_words
from autosched.export.module_text import known_definitions
from autosched.export.ttnn_values import (
    MATMUL_MEMORY,
    MATMUL_PROGRAMS,
    SLICE_TYPES,
    buffer_name,
    dtype_name,
    fidelity_name,
    page_name,
    sharding_name,
)
from autosched.schedule.configurations import Fidelity
from autosched.schedule.tensors import DataType, Memory, PageLayout, ShardLayout

_IMPORTS = ("from typing import NamedTuple", "import ttnn")
_CONSTRUCTORS = frozenset(
    f"ttnn.{name}"
    for name in (
        "Conv2dConfig",
        "Conv2dSliceConfig",
        "CoreGrid",
        *dict.fromkeys(MATMUL_PROGRAMS.values()),
        "MemoryConfig",
        "WormholeComputeKernelConfig",
    )
)
_WORDS = frozenset(
    [
        *map(dtype_name, DataType),
        *map(page_name, PageLayout),
        *map(sharding_name, ShardLayout),
        *map(buffer_name, Memory),
        *map(fidelity_name, Fidelity),
        *MATMUL_MEMORY.values(),
        "ttnn.Conv2dL1FullSliceConfig",
        *(f"ttnn.Conv2d{kind}" for kind in SLICE_TYPES.values()),
    ]
)
# Exports from before they existed lack them; their defaults are what was done then.
_LATER_FIELDS = (
    "fold_input:",
    "dram_slice_config:",
    "compute_kernel_config: ttnn.WormholeComputeKernelConfig | None",
    "program_config:",
)
# The classes are called with keywords alone, since older ones have fewer fields.
_WITH_POSITIONS = ("cores", "sharded", "ttnn.MemoryConfig")


def read_safely(tree: ast.Module, file: str, ttnn: Any) -> dict[str, Any]:
    """Return the names of a module with their values, as running it would give them.

    ``ttnn`` is the module whose objects stand in the schedule.

    Raises:
        ScheduleError: with the line of whatever is not as autosched exports it, or is refused by
            ttnn.
    """
    try:
        return _Reader(file, ttnn).read(tree)
    except RecursionError:
        raise ScheduleError(f"{file}: not a schedule: it is nested too deeply") from None


class _Reader:
    """Reads one module, statement by statement."""

    def __init__(self, file: str, ttnn: Any) -> None:
        self._file = file
        self._ttnn = ttnn
        self._ours = _our_objects(ttnn)
        self._known: dict[str, Any] = {}

    def read(self, tree: ast.Module) -> dict[str, Any]:
        for place, statement in enumerate(tree.body):
            is_docstring = place == 0 and _is_text(statement)
            if not is_docstring and ast.unparse(statement) not in _IMPORTS:
                self._statement(statement)
        return self._known

    def _statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            self._definition(statement)
        elif (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            self._name(statement, statement.targets[0].id, self._value(statement.value))
        else:
            self._refuse(statement, "is no value of a schedule")

    def _definition(self, statement: ast.ClassDef | ast.FunctionDef) -> None:
        source = known_definitions().get(statement.name)
        if source is None or _facts(statement) not in _facts_of_versions(source):
            self._refuse(statement, "is not the definition that autosched exports")
        self._name(statement, statement.name, self._ours[statement.name])

    def _name(self, statement: ast.stmt, name: str, value: Any) -> None:
        reserved = {*self._ours, "ttnn", "NamedTuple"} - {getattr(statement, "name", "")}
        if name in self._known or name in reserved:
            self._refuse(statement, f"gives {name} another meaning")
        self._known[name] = value

    def _value(self, node: ast.expr) -> Any:
        read = _READERS.get(type(node))
        return self._refuse(node, "is no value of a schedule") if read is None else read(self, node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _negative(self, node: ast.UnaryOp) -> Any:
        value = getattr(node.operand, "value", None)
        if not isinstance(node.op, ast.USub) or type(value) not in (int, float):
            self._refuse(node, "is no number")
        return -value  # type: ignore[operator]

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(self._value(item) for item in node.elts)

    def _list(self, node: ast.List) -> Any:
        return [self._value(item) for item in node.elts]

    def _dict(self, node: ast.Dict) -> Any:
        made = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant):
                self._refuse(key or item, "is no name in quotes")
            made[key.value] = self._value(item)
        return made

    def _constant_name(self, node: ast.Name) -> Any:
        if node.id not in self._known or node.id in self._ours:
            self._refuse(node, "is no value that stands above it")
        return self._known[node.id]

    def _word(self, node: ast.Attribute) -> Any:
        if ast.unparse(node) not in _WORDS:
            self._refuse(node, "is none of ttnn's words in a schedule")
        return self._found(node)

    def _found(self, node: ast.expr) -> Any:
        """Return what a dotted name of ttnn's, which was looked up in our lists, stands for."""
        try:
            names = ast.unparse(node).split(".")[1:]
            return functools.reduce(getattr, names, self._ttnn)
        except AttributeError as error:
            self._refuse(node, f"is not in the installed ttnn: {error}")

    def _call(self, node: ast.Call) -> Any:
        name = ast.unparse(node.func)
        function = self._function(node, name)
        if node.args and name not in _WITH_POSITIONS:
            self._refuse(node, "has values without their names")
        arguments = [self._value(item) for item in node.args]
        keywords = {self._keyword(item): self._value(item.value) for item in node.keywords}
        try:
            return function(*arguments, **keywords)
        except Exception as error:  # whatever ttnn throws
            raise ScheduleError(
                f"{self._file}:{node.lineno}: {name} does not take these values: "
                f"{first_words(error)}. Correct it, or export the schedule again."
            ) from None

    def _function(self, node: ast.Call, name: str) -> Callable[..., Any]:
        if name in _CONSTRUCTORS:
            made: Callable[..., Any] = self._found(node.func)
            return made
        if name not in self._ours or name not in self._known:
            self._refuse(node, "is no call of a schedule")
        return self._ours[name]  # type: ignore[no-any-return]

    def _keyword(self, item: ast.keyword) -> str:
        if item.arg is None:
            self._refuse(item.value, "has no name")
        return item.arg

    def _refuse(self, node: ast.AST, why: str) -> NoReturn:
        line = getattr(node, "lineno", 1)
        text = " ".join(ast.unparse(node).split())
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        raise ScheduleError(
            f"{self._file}:{line}: {shown} {why}; only what autosched exports is read as data. "
            "Ask for the schedule as JSON, or, if you trust its author, read it without --safe."
        )


_READERS: Mapping[type[ast.expr], Callable[[_Reader, Any], Any]] = {
    ast.Constant: _Reader._constant,
    ast.UnaryOp: _Reader._negative,
    ast.Tuple: _Reader._tuple,
    ast.List: _Reader._list,
    ast.Dict: _Reader._dict,
    ast.Name: _Reader._constant_name,
    ast.Attribute: _Reader._word,
    ast.Call: _Reader._call,
}


def _our_objects(ttnn: Any) -> dict[str, Any]:
    """Return the functions and classes of exported modules, from our own text of them."""
    namespace: dict[str, Any] = {
        "__name__": "autosched_schedule",
        "ttnn": ttnn,
        "NamedTuple": NamedTuple,
    }
    sources = known_definitions()
    exec("\n".join(sources.values()), namespace)  # noqa: S102 - constants of ours
    return {name: namespace[name] for name in sources}


def _is_text(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return isinstance(statement, ast.Expr) and isinstance(value, ast.Constant)


def _facts(definition: ast.ClassDef | ast.FunctionDef) -> str:
    """Return a definition without its docstring, so that equal ones are equal texts."""
    bare = ast.parse(ast.unparse(definition)).body[0]
    assert isinstance(bare, ast.ClassDef | ast.FunctionDef)  # noqa: S101 - as it was
    bare.body = [item for item in bare.body if not _is_text(item)] or [ast.Pass()]
    return ast.dump(bare)


@functools.cache
def _facts_of_versions(source: str) -> frozenset[str]:
    """Return the same of a definition of ours as it is, and as it was before its later fields."""
    lines = source.splitlines()
    before = [line for line in lines if not line.strip().startswith(_LATER_FIELDS)]
    parsed = (ast.parse("\n".join(version)).body[0] for version in (lines, before))
    return frozenset(
        _facts(item) for item in parsed if isinstance(item, ast.ClassDef | ast.FunctionDef)
    )
