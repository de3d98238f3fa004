"""Who may import whom: rooms from the top of the house to its foundation."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import autosched

SOURCE = Path(autosched.__file__).parent
ROOMS = (
    "cli",
    "report",
    "export",
    "search",
    "numerics",
    "cost",
    "device",
    "space",
    "network",
    "store",
)
"""A room imports only from itself and from those after it."""
SHARED = ("schedule", "errors", "budget")
"""Modules that every room may import."""


def rooms_here() -> list[str]:
    return sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Every module a tree imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    names = imported_modules(ast.parse(path.read_text()))
    parts = [name.split(".") for name in names if name.startswith("autosched.")]
    return {part[1] for part in parts}


def test_every_room_is_known() -> None:
    assert set(rooms_here()) <= set(ROOMS)


@pytest.mark.parametrize("room", rooms_here())
def test_a_room_imports_only_from_rooms_below(room: str) -> None:
    allowed = {*ROOMS[ROOMS.index(room) :], *SHARED}
    wrong = {
        str(path.relative_to(SOURCE)): sorted(upward)
        for path in SOURCE.joinpath(room).rglob("*.py")
        if (upward := (rooms_imported(path) & set(ROOMS)) - allowed)
    }
    assert not wrong


def test_the_shared_words_import_only_python_and_errors() -> None:
    tree = ast.parse((SOURCE / "schedule.py").read_text())
    top = ast.Module(
        [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], []
    )
    packages = {name.split(".")[0] for name in imported_modules(top)}
    assert packages <= {*sys.stdlib_module_names, "autosched"}
    assert rooms_imported(SOURCE / "schedule.py") & set(ROOMS) <= {"export"}


@pytest.mark.parametrize("module", ["autosched", "autosched.export", "autosched.cli.main"])
def test_importing_loads_neither_torch_nor_ttnn(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'ttnn'}} & set(sys.modules))"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout.strip() == "set()"
