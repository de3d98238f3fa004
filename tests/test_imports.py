"""Who may import whom, from the top of the house to its foundation; and no circle of files."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import autosched

SOURCE = Path(autosched.__file__).parent
WORDS = {"schedule", "errors", "quiet", "files", "user_code", "passwords"}
"""What almost every room may import."""
GROUND = {*WORDS, "boards", "budget"}
MAY_IMPORT = {
    "schedule": {"errors", "boards"},
    "solver": {"errors"},
    "store": {*WORDS, "budget"},
    "network": WORDS,
    "network/rules": {"network", "errors"},
    "network/rewrites": {"network", "errors", "quiet"},
    "network/capture": {
        *("network", "network/rules", "network/rewrites"),
        *("errors", "quiet", "user_code"),
    },
    "export": {"network", *WORDS, "boards"},
    "space": {"network", *WORDS, "boards"},
    "numerics": {"network", "schedule", "errors"},
    "evidence": {"network", "schedule", "errors", "files"},
    "device/mock": {"boards", "errors", "files"},
    "device/simulator": {"device/mock", "boards", "errors", "files"},
    "device/ttnn": {"device", "network", "network/rewrites", "numerics", *GROUND},
    "device": {
        "device/ttnn",
        "device/mock",
        "device/simulator",
        "network",
        *GROUND,
    },
    "cluster": {"device", "network", *GROUND},
    "cost/ops": {"schedule"},
    "cost/profiles": {"cost/ops", *WORDS, "boards"},
    "cost": {"cost/ops", "store", *WORDS, "boards"},
    "cost/calibration": {"cost", "cost/profiles", "cost/ops", *WORDS, "boards"},
    "probing": {
        *("space", "device", "evidence", "cost", "solver", "network", "network/rewrites", "store"),
        *GROUND,
    },
    "learning": {
        *("probing", "cost", "solver", "device", "space", "network", "store"),
        *GROUND,
    },
    "verification": {"probing", "device", "network", "store", *GROUND},
    "reproduction": {"device", "device/ttnn", "export", "network", *GROUND},
    "profiling": {"device", "device/ttnn", "cost/ops", "export", "network", "space", *GROUND},
    "search/samplers": {"probing", "solver", "network", "store", *GROUND},
    "search": {
        "search/samplers",
        "probing",
        "evidence",
        "cost",
        "device",
        "numerics",
        "space",
        "network",
        "network/capture",
        "store",
        *GROUND,
    },
    "bench": {
        "search",
        "search/samplers",
        "probing",
        "solver",
        "evidence",
        "verification",
        "cost",
        "device",
        "device/ttnn",
        "numerics",
        "space",
        "network",
        "store",
        "export",
        *GROUND,
    },
    "report": {
        "bench",
        "learning",
        "evidence",
        "probing",
        "cost",
        "cost/calibration",
        "cost/profiles",
        "network",
        "store",
        *GROUND,
    },
    "report/explanation": {
        *("report", "verification", "probing", "cost", "network", "store"),
        *GROUND,
    },
    "report/page": {"report", "probing", "cost", "network", "store", *GROUND},
    "service": {
        *("report", "search", "probing", "space", "device", "export", "network", "store"),
        *("cluster", *GROUND),
    },
    "report/schemas": set(),
    "cleaning": {"service", "device", "store", *GROUND},
}
"""By room, those whose modules it may import beside its own; ``docs/architecture.md`` says why."""
INSIDE_FUNCTIONS = {
    ("device", "device/ttnn"),
    ("bench", "device/ttnn"),
    ("reproduction", "device/ttnn"),
    ("search", "network/capture"),
}
"""What is imported inside a function only: it loads ttnn, or torch."""
ONE_FILE = {
    ("cost", "store"): {"cost/model_choice.py"},
    ("device/ttnn", "device"): {
        "device/asked_layouts.py",
        "device/interface.py",
        "device/rejections.py",
    },
    ("export", "network"): {"export/validation.py"},
    ("cleaning", "service"): {"service/search_files.py"},
    ("probing", "device"): {"device/interface.py", "device/revisions.py"},
    ("device", "device/mock"): {"device/caches.py", "device/machine.py"},
    ("device", "device/simulator"): {"device/machine.py"},
    ("device/ttnn", "numerics"): {"device/ttnn/execution.py"},
}
"""Rooms of which one file alone may import, or alone be imported."""
LARGEST_ROOM = 16
"""How many modules stand beside each other at most."""
COMMANDS = {"cli", "cli/steps", "cli/shell"}
"""The command line may import all of the above."""


def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = ("autosched", *path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room_of(module: str) -> str:
    """The folder of a module; one of the ground floor is a room of its own."""
    path = MODULES[module].relative_to(SOURCE)
    return str(path.parent) if len(path.parts) > 1 else path.stem


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module of ours a tree imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module or "" for name in names)


def ours(tree: ast.AST) -> set[str]:
    return {name for name in imported(tree) if name in MODULES}


IMPORTS = {name: ours(ast.parse(path.read_text())) for name, path in MODULES.items()}
ROOMS = sorted({room_of(name) for name, path in MODULES.items() if path.parent != SOURCE})


def test_every_room_is_in_the_table() -> None:
    assert set(ROOMS) == {*MAY_IMPORT, *COMMANDS}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_from_rooms_below(room: str) -> None:
    wrong = {
        f"{name} -> {other}"
        for name in MODULES
        if room_of(name) == room
        for other in IMPORTS[name]
        if room_of(other) not in {room, *MAY_IMPORT[room]}
    }
    assert not wrong


@pytest.mark.parametrize("pair", ONE_FILE, ids="->".join)
def test_some_doors_are_for_one_file(pair: tuple[str, str]) -> None:
    source, target = pair
    for name in MODULES:
        for other in IMPORTS[name]:
            if (room_of(name), room_of(other)) == pair:
                files = {str(MODULES[item].relative_to(SOURCE)) for item in (name, other)}
                assert files & ONE_FILE[pair], f"{name} -> {other}: {source} may not know {target}"


@pytest.mark.parametrize("pair", sorted(INSIDE_FUNCTIONS), ids="->".join)
def test_some_rooms_are_loaded_late(pair: tuple[str, str]) -> None:
    for name, path in MODULES.items():
        if room_of(name) == pair[0]:
            tree = ast.parse(path.read_text())
            top = ast.Module(
                [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], []
            )
            assert not {other for other in ours(top) if room_of(other) == pair[1]}, name


def circle() -> list[str]:
    """The modules of a circle of imports, the first again at its end; empty if there is none."""
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


SAME_THING = {"CALLS", "FAMILY", "RULES"}
"""What each family declares under the same name."""


def test_public_names_are_alike_only_where_they_are_the_same_thing() -> None:
    homes: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            targets = [node] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
            names = [target.name for target in targets]
            if isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            for name in names:
                homes.setdefault(name, set()).add(module)
    alike = {name: sorted(where) for name, where in homes.items() if len(where) > 1}
    public = {name for name in alike if not name.startswith("_")} - SAME_THING
    assert {name: alike[name] for name in public} == {}


def room_sizes() -> dict[str, int]:
    """How many modules each room has, ``__init__.py`` not counted."""
    return {
        room: sum(
            path.name != "__init__.py" for name, path in MODULES.items() if room_of(name) == room
        )
        for room in ROOMS
    }


def test_there_is_no_circle_of_files() -> None:
    assert circle() == []


def test_no_room_is_a_warehouse() -> None:
    assert {room: size for room, size in room_sizes().items() if size > LARGEST_ROOM} == {}


@pytest.mark.parametrize("module", ["autosched", "autosched.export", "autosched.cli.main"])
def test_importing_loads_neither_torch_nor_ttnn(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'ttnn'}} & set(sys.modules))"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout.strip() == "set()"


OF_THE_PROCESS = re.compile(
    r"os\.environ(\.(setdefault|update|pop)\(|\[[^]]+\] = )|os\.(putenv|umask|chdir)\("
    r"|signal\.signal\(|set_num_threads\(|sys\.setrecursionlimit\("
)
"""What changes the whole process rather than what was called."""
MAY_CHANGE_IT = (
    *("cli/", "device/machine.py", "profiling/process.py"),
    *("numerics/emulation.py", "quiet.py"),
)
"""The command line and a program's process own theirs, a device its environment; the last two take
back what they set."""


def test_a_library_leaves_the_process_of_its_caller_alone() -> None:
    files = {str(path.relative_to(SOURCE)): path.read_text() for path in SOURCE.rglob("*.py")}
    changing = {name for name, text in files.items() if OF_THE_PROCESS.search(text)}
    assert {"cli/main.py", "device/machine.py", "quiet.py"} <= changing
    assert not {name for name in changing if not name.startswith(MAY_CHANGE_IT)}
