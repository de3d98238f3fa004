"""Defaults of options from a file, and a log that is kept beside the screen.

``autosched.toml``, or ``[tool.autosched]`` in ``pyproject.toml``, in the working directory or the
nearest one above that has it::

    board = "p150"
    storage = "sqlite:////data/studies.sqlite3"

    [run]
    effort = "quick"

A name at the top is for every command that has such an option, a table for one command. What is
typed comes first, then the environment, then the file.
"""

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO

from autosched.cli import exits
from autosched.errors import SettingsFileError
from autosched.report.output import make_console, note

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE, _PROJECT = "autosched.toml", "pyproject.toml"
_STORAGE = "AUTOSCHED_STORAGE"
# What a command is called with, not a habit.
_NEVER = frozenset({"--help", "--json", "--yes", "--force", "--version"})
_VALUES = (str, int, float, bool)


def take(context: Any) -> None:
    """Let the commands of a group have the defaults of the file that is nearest, if there is one.

    Raises:
        SettingsFileError: if the file cannot be read, or names what no command has.
    """
    found = _nearest(Path.cwd())
    if found is None:
        return
    path, settings = found
    note(make_console(stderr=True), f"Defaults of options: {path}")
    options = {
        name: _options(command)
        for name, command in context.command.commands.items()
        if not hasattr(command, "commands")
    }
    chosen = _by_command(path, settings, options)
    storage = settings.get("storage")
    if isinstance(storage, str):
        # Libraries ask for it there, and passwords in it are looked for there.
        os.environ.setdefault(_STORAGE, storage)
    context.default_map = chosen


def _nearest(directory: Path) -> tuple[Path, Mapping[str, Any]] | None:
    for place in (directory, *directory.parents):
        own = place / _FILE
        if own.is_file():
            return own, _read(own)
        project = place / _PROJECT
        if project.is_file():
            tool = _read(project).get("tool", {})
            settings = tool.get("autosched") if isinstance(tool, Mapping) else None
            if settings is not None:
                return project, settings
    return None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsFileError(f"{path} cannot be read: {error}") from None


def _options(command: Any) -> dict[str, str]:
    """Return the names of a command's parameters by what they are called in a file."""
    return {
        flag.removeprefix("--"): parameter.name
        for parameter in command.params
        for flag in parameter.opts
        if flag.startswith("--") and flag not in _NEVER
    }


def _by_command(
    path: Path, settings: Mapping[str, Any], options: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    if not isinstance(settings, Mapping):
        raise SettingsFileError(f"{path}: autosched's settings are a table")
    chosen: dict[str, dict[str, Any]] = {name: {} for name in options}
    known = {word for own in options.values() for word in own}
    tables = {word: value for word, value in settings.items() if isinstance(value, Mapping)}
    for word, value in settings.items():
        if word not in tables:
            name = _known(path, word, known | set(options), known)
            for command, own in options.items():
                if name in own:
                    chosen[command][own[name]] = _value(path, word, value)
    for command, table in tables.items():
        own = options[_known(path, command, set(options), set(options))]
        for word, value in table.items():
            name = _known(path, word, set(own), set(own), f"[{command}] ")
            chosen[command][own[name]] = _value(path, f"{command}.{word}", value)
    return chosen


def _known(path: Path, word: str, near: set[str], known: set[str], where: str = "") -> str:
    name = word.replace("_", "-")
    if name not in known:
        alike = get_close_matches(name, sorted(near), n=3) or sorted(known)[:5]
        raise SettingsFileError(
            f"{path}: {where}{word} is no option, nor a command with a table; there is "
            f"{', '.join(alike)}"
        )
    return name


def _value(path: Path, word: str, value: Any) -> Any:
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, _VALUES) for part in parts):
        raise SettingsFileError(f"{path}: {word} is neither a word, a number, nor a list of such")
    return value


def opened_log(file: str) -> TextIO:
    """Open a log to add to, and write what was typed, without passwords.

    Raises:
        SettingsFileError: if it cannot be written.
    """
    try:
        log = open(file, "a", encoding="utf-8")  # noqa: SIM115 - it is open as long as the command
        moment = datetime.now().astimezone().isoformat(timespec="seconds")
        words = " ".join(sys.argv[1:])
        log.write(f"{moment} autosched {exits.without_passwords(words)}\n")
    except OSError as error:
        raise SettingsFileError(
            f"--log-file {file} cannot be written: {error.strerror or error}"
        ) from None
    return log
