"""The tutorial's commands run as they stand there, and print what stands there."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import command

PAGE = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text()
LEFT_OUT = "..."


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def transcripts() -> list[tuple[str, list[str]]]:
    """Return each command with the lines that are printed after it."""
    found: list[tuple[str, list[str]]] = []
    for line in (line for block in blocks("console") for line in block.splitlines()):
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def test_every_step_of_the_guides_has_a_command() -> None:
    typed = [words for words, _ in transcripts()]
    assert len(typed) > 10
    assert all(words.startswith("autosched ") for words in typed)
    assert {words.split()[1] for words in typed} >= {
        "run", "diff", "explain", "pareto", "show", "export", "check", "report",
    }  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_commands_print_what_stands_there(tmp_path: Path) -> None:
    (net,) = blocks("python")
    (settings,) = blocks("toml")
    (tmp_path / "net.py").write_text(net)
    (tmp_path / "autosched.toml").write_text(settings)
    environment = {**os.environ, "COLUMNS": "200"}
    environment.pop("AUTOSCHED_STORAGE", None)
    for words, shown in transcripts():
        _, *arguments = shlex.split(words)
        done = subprocess.run(
            command(*arguments), cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        printed = done.stdout.splitlines()
        for line in shown:
            wanted = line.removesuffix(LEFT_OUT)
            whole = wanted == line
            assert not wanted or any(
                there == line if whole else there.startswith(wanted) for there in printed
            ), f"{words} does not print: {line}\n{done.stdout}"
