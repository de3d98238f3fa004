"""What a shell completes besides commands and options: studies, boards, files, fixed words.

A person waits for it at each Tab: nothing heavy is loaded, and whatever goes wrong is silent.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import typer

from autosched.cli.shell import defaults

_DEVICES = ("auto", "mock", "silicon")
WORDS = {
    "efforts": ("quick", "default", "full"),
    "samplers": ("joint", "mutation", "tpe", "nsga2", "random"),
    "devices": _DEVICES,
    "executing": (*_DEVICES, "simulator"),
    "checking": (*_DEVICES, "simulator", "emulator"),
    "weights": ("bfloat16", "bfloat8_b", "bfloat4_b"),
    "activations": ("bfloat16", "bfloat8_b"),
    "fidelities": ("LoFi", "HiFi2", "HiFi3", "HiFi4"),
    "formats": ("fixed", "search"),
    "orders": ("nchw", "nhwc", "device"),
    "exports": ("module", "json", "model", "ttcnn", "tt-mlir"),
    "archs": ("wormhole_b0", "blackhole"),
}
"""What options take that take few words; written out, as where they are taken is slow to load."""
_LOCKED_S = 0.3


def word_of(kind: str) -> Callable[[str], list[str]]:
    """Return what completes to one of the :data:`WORDS` of a kind."""

    def completed(incomplete: str) -> list[str]:
        return [word for word in WORDS[kind] if word.startswith(incomplete)]

    return completed


def board_names(incomplete: str) -> list[str]:
    """Return the boards whose names begin so."""
    from autosched.boards import BOARDS

    return [name for name in BOARDS if name.startswith(incomplete)]


def study_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the studies of the command's database whose names begin so; only of a SQLite file.

    It is read past the store, which would make or upgrade it, and wait for whoever writes. What is
    wrong with it the next command tells.
    """
    try:
        names = _studies_in(ctx.params.get("storage"))
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


def _studies_in(storage: str | None) -> list[str]:
    from autosched.store.address import default_url, named_url, parse_url

    path = parse_url(named_url(storage) or defaults.storage() or default_url()).path
    if path is None:
        return []
    with closing(
        sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_LOCKED_S)
    ) as database:
        return [name for (name,) in database.execute("SELECT name FROM autosched_study ORDER BY 1")]


def study_or_schedule(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the studies, and the files of schedules, whose names begin so."""
    return [*study_names(ctx, incomplete), *_files(incomplete, (".py", ".json"))]


def network_files(incomplete: str) -> list[str]:
    """Return the Python files, and the directories, whose paths begin so."""
    return _files(incomplete, (".py",))


def schedule_files(incomplete: str) -> list[str]:
    """Return the files that may be schedules, and the directories, whose paths begin so."""
    return _files(incomplete, (".py", ".json"))


def _files(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return files and directories; what is in the directory if it is the only one.

    A shell ends a word that is complete, which a directory is not.
    """
    found = _begun(incomplete, suffixes)
    while len(found) == 1 and found[0].endswith("/"):
        inside = _begun(found[0], suffixes)
        if not inside:
            break
        found = inside
    return found


def _begun(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    start = incomplete.rpartition("/")[2]
    before = incomplete.removesuffix(start)
    try:
        entries = sorted(os.scandir(Path(before or ".").expanduser()), key=lambda one: one.name)
    except OSError:
        return []
    hidden = ("__pycache__",) if start.startswith(".") else (".", "__pycache__")
    return [
        f"{before}{entry.name}{'/' if entry.is_dir() else ''}"
        for entry in entries
        if entry.name.startswith(start)
        and not entry.name.startswith(hidden)
        and (entry.is_dir() or entry.name.endswith(suffixes))
    ]
