"""The pages about the code speak of the code as it is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / name for name in ("architecture.md", "extending.md")]
SOURCES = [path.read_text() for path in (ROOT / "autosched").rglob("*.py")]


def code_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:autosched|tests|docs|db|studies)/[\w/.-]+)`", page.read_text()))
    assert named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_code_that_is_shown_is_in_the_tree() -> None:
    blocks = code_blocks(ROOT / "docs" / "extending.md")
    assert len(blocks) >= 4
    assert [block for block in blocks if not any(block in source for source in SOURCES)] == []


def test_every_room_is_described() -> None:
    page = PAGES[0].read_text()
    rooms = {
        f"{path.parent.relative_to(ROOT / 'autosched')}/"
        for path in (ROOT / "autosched").rglob("__init__.py")
        if path.parent.name != "autosched"
    }
    assert sorted(room for room in rooms if f"| `{room}`" not in page) == []
