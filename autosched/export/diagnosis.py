"""Which value of an edited schedule module ttnn refuses, and what it would take.

ttnn's constructors say only that the arguments do not fit. The module's source says more: its
expressions are evaluated again one by one, innermost first, until the one that fails is alone.
"""

import ast
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autosched.export.ttnn_values import dtype_name, fidelity_name, page_name, sharding_name
from autosched.export.validation import ACT_BLOCK_STEP, FLOAT_TYPES, SHARDED_LAYOUTS, one_of
from autosched.schedule.configurations import ComputeConfig, Conv2dConfig, Fidelity, PoolConfig
from autosched.schedule.serialization import FREEING_FLAGS
from autosched.schedule.tensors import DataType, PageLayout
from autosched.user_code import is_of_the_user, process_kept

Namespace = dict[str, Any]

_SHARDINGS = (*(sharding_name(item) for item in SHARDED_LAYOUTS), "None")
_DTYPES = one_of(tuple(dtype_name(item) for item in DataType))
_FLOATS = one_of(tuple(dtype_name(item) for item in FLOAT_TYPES))
_PAGES = one_of(tuple(page_name(item) for item in PageLayout))
_LEGAL: Mapping[str, str] = {
    "shard_layout": one_of(_SHARDINGS),
    "applied_shard_scheme": one_of(_SHARDINGS),
    "memory_layout": one_of(_SHARDINGS[:-1]),
    "weights_dtype": _FLOATS,
    "dtype": _DTYPES,
    "layout": _PAGES,
    "output_layout": _PAGES,
    "math_fidelity": one_of(tuple(fidelity_name(item) for item in Fidelity)),
    "act_block_h_override": f"0 or a multiple of {ACT_BLOCK_STEP}",
    "act_block_w_div": "an integer, 1 or more",
    "core_grid": "cores((x0, y0, x1, y1), ...), for a Matmul ttnn.CoreGrid(x=, y=)",
    "memory_config": "a ttnn.MemoryConfig",
    **dict.fromkeys(FREEING_FLAGS.values(), "True or False"),
}
_BY_TYPE: Mapping[Any, str] = {bool: "True or False", bool | None: "True, False or None"}

_NANOBIND_WORDS = "incompatible function arguments"


@dataclass(frozen=True)
class Blame:
    """The line of a failing expression, and the words for it."""

    line: int
    words: str


def explain_schedule_error(
    tree: ast.Module, namespace: Namespace, error: BaseException, line: int
) -> str:
    """Return where and why a module failed at ``line``, evaluating its parts in ``namespace``."""
    statement = next((item for item in tree.body if _spans(item, line)), None)
    value = getattr(statement, "value", None)
    if statement is not None and isinstance(value, ast.expr):
        for place, node in _parts(statement, value):
            failure = _failure(node, namespace)
            if failure is not None:
                found = _blame(node, namespace, failure)
                return f"line {found.line}: {place}: {found.words}"
    return f"line {line}: {type(error).__name__}: {first_words(error)}"


def first_words(error: BaseException) -> str:
    """Return what an exception says, without ttnn's source place and backtrace."""
    text = str(error)
    _, found, detail = text.partition("info:\n")
    return (detail if found else text).strip().split("\n", 1)[0].rstrip(".!") or "no message"


def _spans(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _parts(statement: ast.stmt, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield the entries of a table, or the one value of any other statement."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    name = target.id if isinstance(target, ast.Name) else ""
    if isinstance(value, ast.Dict):
        noun = {"LAYERS": "layer ", "RESHARDS": "reshard ", "MOVES": "move "}.get(name, f"{name} ")
        for key, item in zip(value.keys, value.values, strict=True):
            if key is not None:
                yield f"{noun}{ast.unparse(key)}", item
    yield name or "statement", value


def _failure(node: ast.expr, namespace: Namespace) -> BaseException | None:
    code = compile(ast.Expression(node), "<schedule>", "eval")
    try:
        # The whole module was just run; this runs a part of it once more.
        with process_kept():
            eval(code, namespace)  # noqa: S307
    except BaseException as error:
        if not is_of_the_user(error):
            raise
        return error
    return None


def _blame(node: ast.expr, namespace: Namespace, error: BaseException) -> Blame:
    """Return the innermost failing part of ``node``, which fails with ``error``."""
    if not isinstance(node, ast.Call):
        return Blame(node.lineno, first_words(error))
    for keyword in node.keywords:
        failure = _failure(keyword.value, namespace)
        if failure is not None:
            inner = _blame(keyword.value, namespace, failure)
            return inner if isinstance(keyword.value, ast.Call) else _illegal(keyword, inner.words)
    for argument in node.args:
        failure = _failure(argument, namespace)
        if failure is not None:
            return _blame(argument, namespace, failure)
    return _refused_keyword(node, namespace) or Blame(node.lineno, _unfit(node, error))


def _unfit(node: ast.Call, error: BaseException) -> str:
    words = first_words(error)
    return f"{ast.unparse(node)} has unfit arguments" if _NANOBIND_WORDS in words else words


def _refused_keyword(node: ast.Call, namespace: Namespace) -> Blame | None:
    """Return the one keyword that the called ttnn constructor refuses by itself."""
    function = ast.unparse(node.func)
    if not function.startswith("ttnn.") or _failure(_called(node.func, []), namespace):
        return None
    for keyword in node.keywords:
        if _failure(_called(node.func, [keyword]), namespace) is None:
            continue
        known = _fields_of(node.func, namespace)
        if keyword.arg in known:
            return _illegal(keyword, "")
        words = f"{function} has no field {keyword.arg}; it has {', '.join(known)}"
        return Blame(keyword.value.lineno, words)
    return None


def _called(function: ast.expr, keywords: list[ast.keyword]) -> ast.Call:
    call = ast.Call(func=function, args=[], keywords=keywords)
    return ast.fix_missing_locations(ast.copy_location(call, function))


def _fields_of(function: ast.expr, namespace: Namespace) -> list[str]:
    found = eval(compile(ast.Expression(function), "<schedule>", "eval"), namespace)  # noqa: S307
    return [name for name in dir(found) if not name.startswith("_")]


def _illegal(keyword: ast.keyword, detail: str) -> Blame:
    name = keyword.arg or ""
    because = f" ({detail})" if detail else ""
    legal = _LEGAL.get(name) or _legal_by_type().get(name)
    words = f"{name} cannot be {ast.unparse(keyword.value)}{because}"
    return Blame(keyword.value.lineno, words + (f"; legal is {legal}" if legal else ""))


def _legal_by_type() -> dict[str, str]:
    hints = {
        name: hint
        for config in (Conv2dConfig, ComputeConfig, PoolConfig)
        for name, hint in typing.get_type_hints(config).items()
    }
    return {name: _BY_TYPE[hint] for name, hint in hints.items() if hint in _BY_TYPE}
