"""Tests mirror the source: who looks for a module's tests finds them under its name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from autosched.cli.app import app
from tests.test_imports import SOURCE

TESTS = Path(__file__).parent
OF_NO_MODULE = {
    "cli/test_bad_input.py": "whatever a user may type or hand in, through every command",
    "cli/test_help.py": "every command has help and an example, and help starts quickly",
    "cli/test_host.py": "a network with host layers, through every command",
    "cost/ops/test_frozen_works.py": "the works of all families, as the calibration saw them",
    "cost/test_derive.py": "a helper of these tests, which derives ops that no device ran",
    "cost/test_monotony.py": "physics: formulas, coefficients and model together",
    "cost/test_probed_monotony.py": "physics, over what ttnn decided on the mock device",
    "device/test_boards.py": "the figures of boards.py, against what ttnn's mock device says",
    "device/test_probes.py": "ttnn itself: single layers of every family on the mock device",
    "device/test_studies.py": "every ready-made network on the mock device",
    "device/ttnn/test_edited_configurations.py": "every value of a configuration, by any operator",
    "device/ttnn/test_folded_stems.py": "one trick through space, device and cost model",
    "device/ttnn/test_freeing.py": "what layers free, from the schedule through the calls to ttnn",
    "device/ttnn/test_offered_ways.py": "every way a search offers, executed on the simulator",
    "device/ttnn/test_proposed_outputs.py": "what the search asks for is what ttnn leaves",
    "device/ttnn/test_silicon_path.py": "the code path of a card, on the simulator",
    "device/ttnn/test_tokens.py": "layers on tokens, of several families, on the mock device",
    "export/test_round_trip.py": "what is written is read again: all writers and the reader",
    "numerics/test_golden.py": "outputs that kernels computed, recorded on the simulator",
    "network/capture/test_studies.py": "every ready-made network file, captured",
    "search/test_attack.py": "a whole search whose device fails, or that is killed, over and over",
    "search/test_killing.py": "a whole search that is killed",
    "search/test_larger_boards.py": "the same networks on boards of more and of fewer cores",
    "search/test_python_api.py": "the library as the README shows it",
}
"""Test files that name no module, and what they are about."""


def files() -> Iterator[Path]:
    """Every test file below a room of the source."""
    for room in SOURCE.rglob("__init__.py"):
        if room.parent != SOURCE:
            yield from (TESTS / room.parent.relative_to(SOURCE)).glob("test_*.py")


def names_a_module(file: Path) -> bool:
    """Whether a file bears the name of a module beside it, or that and what it is about."""
    room = SOURCE / file.relative_to(TESTS).parent
    name = file.stem.removeprefix("test_")
    return any(f"{name}_".startswith(f"{module.stem}_") for module in room.glob("[!_]*.py"))


def names_a_command(file: Path) -> bool:
    commands = {item.name for item in (*app.registered_commands, *app.registered_groups)}
    return file.parent == TESTS / "cli" and file.stem.removeprefix("test_") in commands


FILES = sorted(files())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TESTS)))
def test_a_test_file_has_the_name_of_a_module(file: Path) -> None:
    is_named = names_a_module(file) or names_a_command(file)
    assert is_named != (str(file.relative_to(TESTS)) in OF_NO_MODULE)


def test_no_file_is_excused_that_is_gone() -> None:
    assert {str(file.relative_to(TESTS)) for file in FILES} >= OF_NO_MODULE.keys()
