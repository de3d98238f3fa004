"""Every command has help, an example in it that works, and a place in the documentation."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from autosched.cli.app import app
from tests.cli.conftest import Invoke

PAGES = [Path(__file__).parents[2] / name for name in ("README.md", "docs/commands.md")]


def commands(group: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command under its full name, as in "db purge", and every group of them."""
    for name, command in group.commands.items():
        yield " ".join((*place, name)), command
        if hasattr(command, "commands"):
            yield from commands(command, (*place, name))


COMMANDS = dict(commands(get_command(app)))


def test_commands_in_groups_are_looked_at_too() -> None:
    assert {"run", "db", "db purge"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help_and_a_mention(name: str, invoke: Invoke) -> None:
    done = invoke(*name.split(), "--help")
    assert done.code == 0
    assert COMMANDS[name].help
    assert "Example:" in done.out
    mentions = [re.search(rf"\bautosched {name}\b", page.read_text()) for page in PAGES]
    assert any(mentions), f"docs/commands.md: autosched {name}"


def test_the_list_of_commands_cuts_no_summary(invoke: Invoke) -> None:
    for group in ((), ("db",), ("quarantine",)):
        done = invoke(*group, "--help")
        assert "..." not in done.out.partition("Commands:")[2].partition("Example:")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_parse(name: str) -> None:
    lines = re.findall(r"^\s*(autosched .*)$", COMMANDS[name].epilog or "", re.MULTILINE)
    assert lines
    for line in lines:
        program, *words = shlex.split(line)
        place = name.split()
        assert (program, words[: len(place)]) == ("autosched", place)
        COMMANDS[name].make_context(name, words[len(place) :])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    unexplained = [
        parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", "")
    ]
    assert not unexplained


def test_help_is_light() -> None:
    heavy = {"torch", "ttnn", "sqlalchemy", "optuna", "numpy", "scipy"}
    code = f"import sys, autosched.cli.app; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"
