"""The table of networks and boards, and what it refuses before anything slow is done."""

from pathlib import Path

import pytest

from autosched.cli.steps.coverage_run import CoverageRequest
from tests.cli.conftest import Invoke, Studied

BAD = """\
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        return torch.logcumsumexp(x, 1)

model = Net()
input_shape = (1, 8, 32, 32)
"""


def test_one_that_fails_does_not_stop_the_rest(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    done = invoke(
        "coverage", "bad.py", str(studied.net), "--trials", "2", "--device", "mock",
        "--storage", f"sqlite:///{tmp_path}/c.sqlite3", "--jobs", "1", "-o", "coverage.md",
        "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    bad, tiny = done.json["rows"]
    assert (bad["captured"], tiny["captured"], tiny["feasible"]) == (False, True, True)
    assert "logcumsumexp" in bad["reason"]
    assert "bad.py:6" in bad["reason"]
    assert tiny["best_us"] < tiny["default_us"]
    page = (tmp_path / "coverage.md").read_text()
    assert "1 of 2 networks captured, 1 scheduled" in page
    assert "autosched coverage bad.py" in page


def test_images_may_be_smaller_than_the_files(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\nmodel = nn.Conv2d(3, 8, 3)\ninput_shape = (1, 3, 64, 64)\n"
    )
    done = invoke(
        "coverage", "net.py", "--side", "16", "--batch", "2", "--trials", "1", "--jobs", "1",
        "--device", "mock", "--storage", f"sqlite:///{tmp_path}/c.sqlite3", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    (row,) = done.json["rows"]
    assert row["inputs"] == [[2, 3, 16, 16]]
    assert row["feasible"]


def test_floors_are_judged(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    done = invoke(
        "coverage", "bad.py", str(studied.net), "--min-pcc", "0.99", "--device", "mock",
        "--storage", f"sqlite:///{tmp_path}/c.sqlite3", "--jobs", "1", "-o", "accuracy.md",
        "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    bad, fixed, searched = done.json["rows"]
    assert "logcumsumexp" in bad["reason"]
    assert (fixed["floor"], searched["floor"]) == (None, 0.99)
    assert searched["pcc"] >= 0.99
    page = (tmp_path / "accuracy.md").read_text()
    assert "1 of 1 schedules meet their floor" in page
    assert "--min-pcc 0.99" in page


def test_nothing_captured_is_an_error(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    url = f"sqlite:///{tmp_path}/c.sqlite3"
    done = invoke("coverage", "bad.py", "--device", "mock", "--storage", url)
    assert done.code == 2
    assert "logcumsumexp" in done.out
    assert "no network could be captured" in done.err


def test_a_missing_file_is_refused_before_another_is_searched(
    studied: Studied, invoke: Invoke
) -> None:
    done = invoke("coverage", str(studied.net), "missing.py", "--storage", studied.url)
    assert done.code == 2
    assert "missing.py does not exist" in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--board", "n1500"), "unknown board 'n1500'; the boards are n150"),
        (("--effort", "heroic"), "unknown effort 'heroic'; it is one of quick"),
        (("-o", "coverage.txt"), "--output coverage.txt: name a file that ends in .md"),
        (("-o", "no/where.md"), "there is no such directory; create it first"),
    ],
)
def test_wrong_options_are_refused_at_once(
    arguments: tuple[str, str], words: str, invoke: Invoke
) -> None:
    done = invoke("coverage", "net.py", *arguments)
    assert done.code == 2
    assert words in done.err


def test_without_names_all_studies_are_covered() -> None:
    request = CoverageRequest((), ("n150", "p150"), None, "auto", 3, "quick", None, None)
    names = [Path(file).stem for file in request.files]
    assert {"resnet50", "unet", "yolo"} <= set(names)
    assert request.command == (
        "autosched coverage --board n150 --board p150 --trials 3 --effort quick"
    )
