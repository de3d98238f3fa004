"""The pages' commands: each parses, and those of console blocks run and print what stands there."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from autosched.device.machine import silicon_devices
from tests.cli.conftest import command
from tests.cli.test_help import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WIDTHS = {"README.md": "88"}
"""How wide a terminal is on a page; 200 columns on all others."""
LEFT_OUT, LEFT_OUT_LINES = "...", "[...]"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r"`([\w.]+\.(?:py|toml))`[^`\n]*:\s*$|`([\w.]+\.toml)`")
_WRITING = ("python", "toml")


@dataclass(frozen=True)
class Block:
    """A block of a page; ``file`` is what the line before it says that it is, "" for none."""

    language: str
    text: str
    file: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        before = text[: found.start()].rstrip().rpartition("\n\n")[2]
        named = _NAMED.search(before)
        file = (named[1] or named[2]) if named else ""
        yield Block(found[1], found[2], file)


def transcripts(page: Path) -> list[tuple[str, list[str]]]:
    """Each command of the console blocks with the lines that are printed after it."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks(page):
        for line in block.text.splitlines() if block.language == "console" else ():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def typed(page: Path) -> Iterator[list[str]]:
    """The words of every command line in a block."""
    for block in blocks(page):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = line.removeprefix("$ ")
            if block.language in ("", "sh", "console") and words.startswith(
                ("autosched ", "make ")
            ):
                yield shlex.split(words, comments=True)


TYPED = [(page, words) for page in PAGES for words in typed(page)]
TARGETS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("page", "words"), TYPED, ids=lambda item: getattr(item, "name", None))
def test_a_command_is_one_that_there_is(page: Path, words: list[str]) -> None:
    program, *rest = words
    if program == "make":
        assert rest[0] in TARGETS, page
        return
    place = 2 if " ".join(rest[:2]) in COMMANDS else 1
    name = " ".join(rest[:place])
    COMMANDS[name].make_context(name, rest[place:])


def test_commands_that_are_named_are_there() -> None:
    lines = [
        line for page in PAGES for line in re.findall(r"`autosched ([a-z].*?)`", page.read_text())
    ]
    assert len(lines) > 50
    assert sorted(line for line in lines if line.split()[0] not in COMMANDS) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        file, _, heading = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert heading in {_anchor(title) for title in titles}, target


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)\s#]+)", page.read_text())
    }
    assert [page.name for page in PAGES[1:] if page.resolve() not in linked] == []


def test_every_step_of_the_guides_has_a_command() -> None:
    used = [words for words, _ in transcripts(ROOT / "docs" / "tutorial.md")]
    assert len(used) > 10
    assert {words.split()[1] for words in used} >= {
        "run", "diff", "explain", "pareto", "show", "export", "check", "report",
    }  # fmt: skip


TRIED = [page for page in PAGES if transcripts(page)]


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", TRIED, ids=lambda page: page.name)
def test_the_commands_print_what_stands_there(page: Path, tmp_path: Path) -> None:
    if silicon_devices():
        pytest.skip("the pages show what is printed where there is no card")
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    environment = {**os.environ, "COLUMNS": WIDTHS.get(page.name, "200")}
    environment["AUTOSCHED_STORAGE"] = f"sqlite:///{tmp_path}/studies.sqlite3"
    for block in blocks(page):
        if block.file and block.language in _WRITING:
            (tmp_path / block.file).write_text(block.text)
            if "storage" in block.text and block.language == "toml":
                del environment["AUTOSCHED_STORAGE"]
    for words, shown in transcripts(page):
        _, *arguments = shlex.split(words)
        done = subprocess.run(
            command(*arguments), cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        printed = [line.rstrip() for line in done.stdout.splitlines()]
        for line in shown:
            wanted = line.removesuffix(LEFT_OUT)
            is_there = line == LEFT_OUT_LINES or not wanted
            is_there = is_there or any(
                there == line if wanted == line else there.startswith(wanted) for there in printed
            )
            assert is_there, f"{words} does not print: {line}\n{done.stdout}"
