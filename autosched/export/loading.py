"""An exported schedule read back: by value equal to what was exported, edits included.

A ``.json`` file is read as it is. Any other file is a Python module: it is run with ttnn imported
(no device is opened), and its objects are read, so what a person sees in it is what counts. One
from somebody else is read as data instead (``safe``), or asked for as JSON.
"""

import ast
import json
import os
import traceback
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

from autosched.errors import ScheduleError
from autosched.export.diagnosis import explain_schedule_error, first_words
from autosched.export.safe_reading import read_safely
from autosched.export.ttnn_values import layer_plain, layout_plain
from autosched.export.validation import build_schedule, named_entries
from autosched.quiet import import_quietly
from autosched.schedule.schedule import Schedule
from autosched.user_code import is_of_the_user, process_kept

_TABLES = ("PROVENANCE", "LAYERS", "RESHARDS", "MOVES")


def load_schedule(path: str | os.PathLike[str], *, safe: bool = False) -> Schedule:
    """Read a schedule from the file that ``autosched export`` wrote, or that was edited since.

    A Python module is executed for that, as importing it would; with ``safe`` it is read as data
    and refused where it is more than an export with edited values. JSON is never executed.

    Raises:
        ScheduleError: if the file cannot be read, is no schedule, or has an illegal value; the
            message names the file, the layer, the field and the legal values.
    """
    file = os.fspath(path)
    text = _read(Path(file))
    if not is_executed(file):
        return parse_json(text, file)
    tree = _parse(text, file)
    ttnn = _imported_ttnn(file)
    return _from_objects(read_safely(tree, file, ttnn) if safe else _run(tree, file), file)


def is_executed(file: str) -> bool:
    """Return whether reading a file of this name executes it, unless that is done safely."""
    return not file.endswith(".json")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScheduleError(
            f"{path}: no such file. Write one with autosched export STUDY -o {path}"
        ) from None
    except UnicodeDecodeError:
        raise ScheduleError(f"{path}: not a schedule: it is not text") from None
    except OSError as error:
        raise ScheduleError(f"{path}: cannot be read: {error.strerror}") from None


def parse_json(text: str, file: str) -> Schedule:
    """Read what :func:`~autosched.export.saving.render_json` wrote.

    Raises:
        ScheduleError: naming ``file`` and the place, if it is not JSON, not a schedule or has an
            illegal value.
    """
    try:
        plain = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ScheduleError(
            f"{file}:{error.lineno}: not JSON: {error.msg}. Correct it, or export again."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ScheduleError(f"{file}: not a schedule: {error}") from None
    if not isinstance(plain, dict) or not {"provenance", "layers"} <= set(plain):
        raise ScheduleError(f"{file}: not a schedule: it needs a provenance and layers")
    unknown = sorted(set(plain) - {item.name for item in fields(Schedule)})
    if unknown:
        raise ScheduleError(f"{file}: unknown field {', '.join(unknown)}")
    return build_schedule(plain, file)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is given twice, which JSON would silently take from the last."""
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"{key!r} is given twice")
        table[key] = value
    return table


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _parse(text: str, file: str) -> ast.Module:
    try:
        tree = ast.parse(text, file)
    except SyntaxError as error:
        raise ScheduleError(
            f"{file}:{error.lineno}: not Python: {error.msg}. Correct it, or export again."
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ScheduleError(f"{file}: not a schedule: {error}") from None
    _check_tables(tree, file)
    return tree


def _check_tables(tree: ast.Module, file: str) -> None:
    """Refuse other modules before they run, and keys of which Python would take the last."""
    tables = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    missing = [name for name in _TABLES if name not in tables]
    if missing:
        raise ScheduleError(
            f"{file}: not a schedule that autosched exported: {', '.join(missing)} missing. "
            "Export it again with autosched export STUDY."
        )
    for name in _TABLES:
        seen: set[object] = set()
        value = tables[name]
        for key in value.keys if isinstance(value, ast.Dict) else []:
            if isinstance(key, ast.Constant):
                if key.value in seen:
                    raise ScheduleError(f"{file}:{key.lineno}: {name}: {key.value!r} twice")
                seen.add(key.value)


def _run(tree: ast.Module, file: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "autosched_schedule", "__file__": file}
    try:
        with process_kept():
            exec(compile(tree, file, "exec"), namespace)  # noqa: S102 - the file is a Python module
    except BaseException as error:
        if not is_of_the_user(error):
            raise
        words = explain_schedule_error(tree, namespace, error, _line_of(error, file))
        raise ScheduleError(f"{file}: {words}. Correct it, or export the schedule again.") from None
    return namespace


def _imported_ttnn(file: str) -> ModuleType:
    try:
        return import_quietly("ttnn")  # only this form of file needs it
    except ImportError as error:
        raise ScheduleError(
            f"{file}: needs ttnn, which cannot be imported: {first_words(error)}. Install it, or "
            "export the schedule as JSON."
        ) from None


def _line_of(error: BaseException, file: str) -> int:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file and frame.lineno]
    return lines[0] if lines else 1


def _from_objects(namespace: dict[str, Any], file: str) -> Schedule:
    readers = {
        "layers": ("layer", layer_plain),
        "reshards": ("reshard", layout_plain),
        "moves": ("move", layout_plain),
    }
    try:
        tables: dict[str, Any] = {
            table: {
                name: read(value, f"{file}: {noun} {name!r}")
                for name, value in named_entries(namespace[table.upper()], table.upper(), file)
            }
            for table, (noun, read) in readers.items()
        }
    except AttributeError as error:
        raise ScheduleError(
            f"{file}: its classes were changed: {error}. Export the schedule again."
        ) from None
    return build_schedule({**tables, "provenance": namespace["PROVENANCE"]}, file)
