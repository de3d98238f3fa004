"""Programs written by hand, through the command; the page about it runs as it stands there."""

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import autosched
from autosched.schedule.configurations import Conv2dConfig, Fidelity
from autosched.store.database import open_store
from autosched.store.studies import get_study
from autosched.store.trials import best_of
from tests.cli.conftest import Invoke, Studied

PAGE = (Path(__file__).parents[2] / "docs" / "profile.md").read_text()
PROGRAM, NET = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
LINES = re.findall(r"^\$ autosched (.*)$", PAGE, re.MULTILINE)
SCHEDULED = """\
from autosched import Runner, capture, load_network_file, load_schedule

loaded = load_network_file({net!r})
network = capture(loaded.module, loaded.example_inputs, loaded.name)
schedule = load_schedule({schedule!r})

def model(device):
    runner = Runner(network, schedule, device, "n150")
    images = runner.upload(loaded.example_inputs)
    return lambda: runner.forward(images)
"""


def test_a_schedule_of_ours_has_the_ops_and_the_time_of_its_trial(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    source = SCHEDULED.format(net=str(studied.net), schedule=str(studied.schedule))
    (tmp_path / "ours.py").write_text(source)
    done = invoke("profile", "ours.py", "--json")
    assert done.code == 0, done.err
    with open_store(studied.url) as store:
        best = best_of(store, get_study(store, studied.name))
    assert best is not None
    found = done.json
    assert [op["op"] for op in found["ops"]] == [
        op.code.removesuffix("DeviceOperation") for op in best.ops
    ]
    assert [op["cores"] for op in found["ops"]] == [op.cores for op in best.ops]
    assert found["latency_us"] == pytest.approx(best.latency_us, rel=1e-9)
    assert found["latency_kind"] == "estimated"
    assert found["peak_l1_bytes"] == best.peak_l1_bytes
    assert found["cost_model"] == best.cost_model


def test_the_page_runs_as_it_stands_there(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "hand.py").write_text(PROGRAM)
    (tmp_path / "net.py").write_text(NET)
    show, recover, search = map(shlex.split, LINES)

    done = invoke(*show)
    assert done.code == 0, done.err
    assert "conv2d 4" in done.out
    assert re.search(r"\(estimated\); second run, weights prepared", done.out)
    assert "times are estimated, none is measured" in done.out
    with (tmp_path / "ops.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all("'estimated'" in row["ATTRIBUTES"] for row in rows)
    report = subprocess.run(
        [str(Path(sys.executable).with_name("tt-perf-report")), "ops.csv", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert report.returncode == 0, report.stderr[-2000:]
    assert f"{len(rows)} device ops" in report.stdout

    done = invoke(*recover, "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["unmatched_layers"] == found["unmatched_calls"] == found["remarks"] == []
    assert {"stem", "pool", "conv1", "conv2", "last", "fc"} < set(found["taken"])
    assert "autosched run net.py --start by_hand.py" in done.err
    config = autosched.load_schedule("by_hand.py").layers["conv1"]
    assert isinstance(config, Conv2dConfig)
    assert config.enable_act_double_buffer
    assert config.compute.math_fidelity is Fidelity.LOFI

    url = f"sqlite:///{tmp_path}/a.sqlite3"
    more = ("--trials", "2", "--effort", "quick", "--device", "mock", "--storage", url, "--json")
    done = invoke(*search, *more)
    assert done.code == 0, done.err
    (given,) = re.findall(r"the schedule given: ([\d.,]+) µs \(estimated\)", done.err)
    assert float(given) == pytest.approx(found["schedule_latency_us"], abs=0.06)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gone.py",), "gone.py: there is no such file"),
        (("notes.txt",), "notes.txt is no Python file"),
        (("hand.py", "--schedule", "a.py"), "name its file with --net"),
        (("hand.py", "--net", "net.py", "--schedule", "a.txt"), "exported as .py or .json"),
        (("hand.py", "--board", "x150"), "x150"),
        (("hand.py", "--timeout", "soon"), "--timeout"),
        (("hand.py", "--function", "walk"), "hand.py has no 'walk'"),
    ],
)
def test_what_cannot_be_profiled_is_one_message(
    invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "hand.py").write_text("def run(device): pass\n")
    (tmp_path / "notes.txt").write_text("")
    done = invoke("profile", *arguments)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_a_program_of_another_network_is_told_so(
    invoke: Invoke, tmp_path: Path, studied: Studied
) -> None:
    (tmp_path / "hand.py").write_text(PROGRAM)
    done = invoke("profile", "hand.py", "--net", str(studied.net))
    assert done.code == 2
    assert "is one of tiny: their sizes differ" in done.err


def test_a_place_that_is_none_is_told_before_the_program_runs(invoke: Invoke) -> None:
    done = invoke("profile", "gone.py", "--csv", "nowhere/ops.csv")
    assert done.code == 2
    assert "there is no directory nowhere" in done.err
