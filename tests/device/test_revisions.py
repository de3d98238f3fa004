import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from autosched.device import revisions
from autosched.device.revisions import OPERATORS
from autosched.network.operators import Conv2d, ConvTranspose2d, Operator, Pool2d, Softmax
from tests.test_imports import MODULES, SOURCE, imported

FAMILIES = {
    op.family: (f"ttnn/{op.family}.py", *revisions.BESIDE.get(op.family, ())) for op in OPERATORS
}
EVERY_FAMILY = [place for places in FAMILIES.values() for place in places]
# Words all rooms share, and what a probe never runs: the card's timing, PyTorch on the host, and
# what makes a network's layers, which are in the key as they are.
DECIDES_NOTHING = {
    "boards",
    "budget",
    "device.interface",
    "device.ttnn.timing",
    "errors",
    "network.graph",
    "network.host_ops",
    "network.rewrites.packed_images",
    "schedule.configurations",
    "schedule.outcomes",
    "schedule.schedule",
    "schedule.serialization",
    "schedule.tensors",
}


def files(places: Iterable[str]) -> set[Path]:
    """The files of some places."""
    return {(SOURCE / "device" / place.partition(":")[0]).resolve() for place in places}


def whole_files(places: Iterable[str]) -> set[Path]:
    """The files that count as a whole."""
    return files(place for place in places if ":" not in place)


def own_modules(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, as "device.ttnn.calls"."""
    for name in imported(ast.parse(path.read_text())):
        if name in MODULES:
            yield name.removeprefix("autosched.")


@pytest.mark.parametrize("op", OPERATORS)
def test_every_operator_has_a_family_whose_file_runs_it(op: type[Operator]) -> None:
    text = "".join(path.read_text() for path in whole_files(FAMILIES[op.family]))
    assert re.search(rf"^\s+{op.__name__}: _\w+,?$|\{{{op.__name__}: _\w+\}}", text, re.MULTILINE)


def test_every_place_is_there() -> None:
    assert set(revisions.BESIDE) <= set(FAMILIES)
    assert [path for path in files({*revisions.SHARED, *EVERY_FAMILY}) if not path.is_file()] == []


def test_what_the_sources_import_is_covered_or_decides_nothing() -> None:
    places = {*revisions.SHARED, *EVERY_FAMILY}
    covered = {".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in files(places)}
    needed = {module for path in whole_files(places) for module in own_modules(path)}
    assert needed - covered - DECIDES_NOTHING == set()


def test_no_family_imports_another() -> None:
    for family, places in FAMILIES.items():
        needed = {module for path in whole_files(places) for module in own_modules(path)}
        others = whole_files(EVERY_FAMILY) - whole_files({*places, *revisions.SHARED})
        names = {".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in others}
        assert not needed & names, family


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The device room of a copy of the sources, of which revisions are made."""
    home = tmp_path / "autosched"
    shutil.copytree(SOURCE, home, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(revisions, "_HERE", home / "device")
    forget()
    yield home / "device"
    monkeypatch.undo()
    forget()


def forget() -> None:
    """What a process keeps."""
    revisions._revision.cache_clear()
    revisions._place_digest.cache_clear()


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    forget()


def all_revisions() -> dict[str, str]:
    found = {op.__name__: revisions.revision_of(op) for op in OPERATORS}
    return {**found, "reshard": revisions.reshard_revision()}


def differing(before: dict[str, str]) -> set[str]:
    after = all_revisions()
    return {name for name in after if after[name] != before[name]}


def test_a_mended_family_makes_its_own_probes_stale_and_no_others(copied: Path) -> None:
    before = all_revisions()
    path = copied / "ttnn/convolutions.py"
    path.write_text(path.read_text() + "\nMENDED = True\n")
    forget()
    assert differing(before) == {Conv2d.__name__, ConvTranspose2d.__name__}


@pytest.mark.parametrize("place", revisions.SHARED)
def test_what_is_shared_makes_every_probe_stale(copied: Path, place: str) -> None:
    before = all_revisions()
    file, _, name = place.partition(":")
    path = copied / file
    path.write_text(path.read_text() + f"\n{name or 'MENDED'} = 1\n")
    forget()
    assert differing(before) == set(before)


def test_one_definition_of_a_file_stands_for_itself(copied: Path) -> None:
    before = all_revisions()
    path = copied / "../network/operators.py"
    path.write_text(path.read_text() + "\nMORE_OPERATORS = True\n")
    forget()
    assert differing(before) == set()
    changed(path, "and op.groups == 1", "and op.groups == 2")
    assert differing(before) == {"Conv2d", "ConvTranspose2d"}


def test_the_current_revisions_are_of_everything() -> None:
    assert revisions.current_revisions() == set(all_revisions().values())
    assert revisions.revision_of(Softmax) != revisions.revision_of(Pool2d)


SNIPPET = '''
"""A module."""

import math

LIMIT: int = 7
"""How far."""


class Sum:
    """A class."""


def total(values: list[int], *, start: float = 1.5) -> str:
    """Return what they come to."""
    # Slowly.
    found = [value for value in values if value < LIMIT and (rest := value)]
    return f"{sum(found, start):>{LIMIT}} of {values!r} " "and no more"
'''

SAME = '''
LIMIT: int = 7
class Sum:
    "A class, too."
def total(
    values: list[int],
    *,
    start: float = 1.5,
) -> str:
    """Another word."""

    found = [
        value for value in values if value < LIMIT and (rest := value)
    ]  # comment
    return f"{sum(found, start):>{LIMIT}} of {values!r} and no more"
'''


def test_words_and_formatting_do_not_count() -> None:
    assert revisions.source_digest(SNIPPET) == revisions.source_digest(SAME)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("< LIMIT", "<= LIMIT"),
        ("= 7", "= 7.0"),
        ("values!r", "values!s"),
        ("and no more", "and more"),
        ("start: float = 1.5", "start: float"),
        ("found = [", "found += ["),
        ("class Sum", "class Total"),
    ],
)
def test_what_the_code_does_counts(old: str, new: str) -> None:
    assert old in SNIPPET
    assert revisions.source_digest(SNIPPET.replace(old, new)) != revisions.source_digest(SNIPPET)


def test_every_python_gives_the_same_revision() -> None:
    """A literal, so that this fails under a version that reads the snippet differently."""
    assert revisions.source_digest(SNIPPET) == "2f01393df7ea8047"


def test_a_definition_that_is_not_there_is_an_error() -> None:
    assert revisions.source_digest(SNIPPET, "total") != revisions.source_digest(SNIPPET, "LIMIT")
    with pytest.raises(LookupError, match="'gone'"):
        revisions.source_digest(SNIPPET, "gone")


def test_revisions_load_neither_ttnn_nor_torch() -> None:
    code = (
        "import sys; from autosched.device.revisions import current_revisions; "
        "current_revisions(); print({'ttnn', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_verdict_has_a_revision_beside_that_of_probes() -> None:
    executed = revisions.current_execution_revisions()
    assert executed.isdisjoint(revisions.current_revisions())
    assert revisions.execution_revision_of(Conv2d) != revisions.execution_revision_of(Pool2d)
    assert revisions.reshard_execution_revision() in executed
    assert [path for path in files(revisions.EXECUTION) if not path.is_file()] == []
