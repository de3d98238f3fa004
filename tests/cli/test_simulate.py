import json
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke

TINY = """
from torch import nn

model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
input_shape = (1, 3, 32, 32)
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--simulator", "gone.so"), "there is no simulator gone.so"),
        (("--simulator", ""), "no simulator: set TT_METAL_SIMULATOR"),
        (("--board", "n900"), "unknown board 'n900'"),
        (("--effort", "much"), "unknown effort 'much'"),
        (("--timeout", "soon"), "is no duration"),
        (("--write", "gone/executed.json"), "there is no such directory"),
        (("--write", "damaged.json"), "damaged.json is no table of executed kinds"),
        (("--write", "old.json"), "this table is of ttnn 0.1"),
        (("--write", "."), "cannot be read"),
        (("gone.py",), "gone.py does not exist"),
        (("tiny.py", "--side", "1"), "a larger --side may do"),
    ],
)
def test_what_cannot_be_done_is_one_message_before_anything_runs(
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.setenv("TT_METAL_SIMULATOR", "")
    (tmp_path / "damaged.json").write_text("{")
    (tmp_path / "tiny.py").write_text(TINY)
    (tmp_path / "old.json").write_text(json.dumps({"ttnn_version": "0.1", "cases": []}))
    done = invoke("simulate", *arguments)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
    assert json.loads((tmp_path / "old.json").read_text())["ttnn_version"] == "0.1"


@pytest.mark.simulator
def test_candidates_are_executed_and_counted(invoke: Invoke, simulated: str) -> None:
    del simulated
    arguments = ("--timeout", "20s", "--seed", "2", "--each", "2", "--write", "executed.json")
    done = invoke("simulate", *arguments, "--json")
    assert done.code == 0, done.err
    assert done.json["executed"] == "simulated"
    cases = json.loads(Path("executed.json").read_text())["cases"]
    assert done.json["candidates"] == sum(case["executed"] for case in cases)
