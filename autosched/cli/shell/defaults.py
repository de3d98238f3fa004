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
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO, get_args, get_type_hints

from autosched.cli import exits
from autosched.errors import SettingsFileError
from autosched.report.output import make_console, note

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE, _PROJECT = "autosched.toml", "pyproject.toml"
_STORAGE = "AUTOSCHED_STORAGE"
# What a command is called with, not a habit; the last ones are of all commands.
_NEVER = frozenset({"--help", "--json", "--yes", "--force", "--version"})
_TYPED = (*_NEVER, "--quiet", "--verbose", "--log-file")
_TAKES = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes"}
# Options of text that are written as numbers, too.
_NUMBERS_TOO = ("TIME", "N")
_ORIGINS = "autosched.defaults"


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
    origins: Origins = {}
    chosen = _by_command(path, settings, options, origins)
    context.meta[_ORIGINS] = origins
    storage = settings.get("storage")
    if isinstance(storage, str):
        # Libraries ask for it there, and passwords in it are looked for there.
        os.environ.setdefault(_STORAGE, storage)
    context.default_map = chosen


def storage() -> str | None:
    """Return the database that the nearest file names for all commands.

    Raises:
        SettingsFileError: if the file cannot be read.
    """
    found = _nearest(Path.cwd())
    named = None if found is None else found[1].get("storage")
    return named if isinstance(named, str) else None


def name_file(error: Any) -> None:
    """Let an error of usage say which file and key it is of, if the value is a default of ours."""
    context, parameter = error.ctx, getattr(error, "param", None)
    if parameter is None:
        return
    origin = context.meta.get(_ORIGINS, {}).get((context.info_name, parameter.name))
    source = context.get_parameter_source(parameter.name)
    if origin is not None and source is not None and source.name == "DEFAULT_MAP":
        error.param_hint = f"'{parameter.opts[0]}' of {origin}"


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


@dataclass(frozen=True)
class _Option:
    """An option of a command: its parameter, and what values it takes."""

    parameter: str
    kind: type
    is_list: bool
    numbers_too: bool

    def value(self, where: str, value: Any) -> Any:
        """Return what a file has for it, as the command line takes it.

        Raises:
            SettingsFileError: if it is of another kind.
        """
        parts = value if self.is_list and isinstance(value, list) else [value]
        if not all(self._is_taken(part) for part in parts):
            more = ", or a list of such" if self.is_list else ""
            raise SettingsFileError(f"{where} is {value!r}; it takes {_TAKES[self.kind]}{more}")
        return parts if self.is_list else value

    def _is_taken(self, value: Any) -> bool:
        if isinstance(value, bool):
            return self.kind is bool
        if isinstance(value, int | float) and self.numbers_too:
            return True
        return isinstance(value, int | float if self.kind is float else self.kind)


def _options(command: Any) -> dict[str, _Option]:
    """Return a command's options by what they are called in a file."""
    hints = get_type_hints(command.callback)
    return {
        flag.removeprefix("--"): _Option(
            parameter.name,
            _kind(hints[parameter.name]),
            is_list=bool(getattr(parameter, "multiple", False)),
            numbers_too=parameter.metavar in _NUMBERS_TOO,
        )
        for parameter in command.params
        for flag in parameter.opts
        if flag.startswith("--") and flag not in _NEVER
    }


def _kind(hint: Any) -> type:
    """Return what a parameter's values are, such as ``int`` for ``list[int] | None``."""
    parts = [hint]
    for part in parts:
        parts += get_args(part)
    return next((kind for kind in _TAKES if kind in parts), str)


Origins = dict[tuple[str, str], str]
"""By command and parameter, which file and key its default is of."""


def _by_command(
    path: Path,
    settings: Mapping[str, Any],
    options: Mapping[str, Mapping[str, _Option]],
    origins: Origins,
) -> dict[str, dict[str, Any]]:
    if not isinstance(settings, Mapping):
        raise SettingsFileError(f"{path}: autosched's settings are a table")
    chosen: dict[str, dict[str, Any]] = {name: {} for name in options}

    def choose(command: str, name: str, where: str, value: Any) -> None:
        option = options[command][name]
        chosen[command][option.parameter] = option.value(where, value)
        origins[command, option.parameter] = where

    known = {word for own in options.values() for word in own}
    tables = {word: value for word, value in settings.items() if isinstance(value, Mapping)}
    for word, value in settings.items():
        if word not in tables:
            name = _known(path, word, known | set(options), known)
            for command, own in options.items():
                if name in own:
                    choose(command, name, f"{path}: {word}", value)
    for command, table in tables.items():
        own = options[_known(path, command, set(options), set(options))]
        for word, value in table.items():
            name = _known(path, word, set(own), set(own), f"[{command}] ")
            choose(command, name, f"{path}: [{command}] {word}", value)
    return chosen


def _known(path: Path, word: str, near: set[str], known: set[str], where: str = "") -> str:
    name = word.replace("_", "-")
    if f"--{name}" in _TYPED:
        raise SettingsFileError(f"{path}: {where}{word} is typed with a command, and no default")
    if name not in known:
        alike = get_close_matches(name, sorted(near), n=3)
        of = where.strip("[] ")
        hint = f"there is {', '.join(alike)}" if alike else f"see autosched {of} --help"
        raise SettingsFileError(
            f"{path}: {where}{word} is no option, nor a command with a table; "
            f"{hint.replace('  ', ' ')}"
        )
    return name


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
