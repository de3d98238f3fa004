import re
from dataclasses import replace
from pathlib import Path

import pytest

import autosched
from autosched.export.saving import save_schedule
from autosched.schedule.configurations import Conv2dConfig, FixedConfig
from autosched.schedule.tensors import CoreRange
from tests.cli.conftest import Invoke, Studied, on_a_terminal


def test_it_runs_the_schedule_and_prints_the_time(studied: Studied, invoke: Invoke) -> None:
    done = invoke("check", str(studied.schedule), "--net", str(studied.net), "--json")
    assert done.code == 0, done.err
    assert done.json["latency_kind"] == "estimated"
    assert done.json["latency_us"] == pytest.approx(done.json["recorded_us"], rel=0.05)
    assert "(estimated)" in done.err


def test_a_terminal_shows_each_phase_with_how_long_it_takes_so_far(studied: Studied) -> None:
    code, shown = on_a_terminal("check", str(studied.schedule), "--net", str(studied.net))
    assert code == 0, shown
    for phase in ("reading", "running"):
        assert re.search(rf" {phase} +\d+\.\d s", shown), phase
    assert "at most" not in shown


def edited(studied: Studied, directory: Path, old: str, new: str) -> str:
    text = studied.schedule.read_text()
    assert old in text
    path = directory / "edited.py"
    path.write_text(text.replace(old, new))
    return str(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"board": "n150"', '"board": "p150"', "made for board p150"),
        ('"ttnn_version": "0.81.1"', '"ttnn_version": "0.1"', "made with ttnn 0.1"),
        ('"network_signature": "', '"network_signature": "f', "made for network 'tiny'"),
        ('"batch": 1,', '"batch": 1,,', "not Python"),
    ],
)
def test_a_schedule_for_something_else_is_refused(
    studied: Studied, invoke: Invoke, tmp_path: Path, old: str, new: str, words: str
) -> None:
    file = edited(studied, tmp_path, old, new)
    board = ("--board", "n150") if "board" in old else ()
    done = invoke("check", file, "--net", str(studied.net), *board)
    assert done.code == 2
    assert f"error: {file}" in done.err
    assert words in done.err
    assert "Traceback" not in done.err


def test_an_illegal_value_is_named_with_its_place(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    file = edited(studied, tmp_path, "ttnn.Conv2dConfig(", "ttnn.Conv2dConfig(act_block_w_div=0, ")
    done = invoke("check", file, "--net", str(studied.net))
    assert done.code == 2
    assert "act_block_w_div is 0; legal is 1 or more" in done.err


def test_a_value_that_the_layer_would_ignore_is_named_with_the_legal_ones(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    schedule = autosched.load_schedule(studied.schedule)
    output = schedule.layers["output"]
    assert isinstance(output, FixedConfig)
    layers = {**schedule.layers, "output": replace(output, method="permute")}
    path = save_schedule(replace(schedule, layers=layers), tmp_path / "edited.py")
    done = invoke("check", str(path), "--net", str(studied.net))
    assert done.code == 2
    assert f"error: {path}: layer 'output': method is 'permute'; legal is ''" in done.err


def test_a_layer_that_is_missing_is_named(studied: Studied, invoke: Invoke, tmp_path: Path) -> None:
    file = edited(studied, tmp_path, '    "output": ', '    "other": ')
    file_text = Path(file).read_text()
    Path(file).write_text(file_text.replace("-> output", "-> other"))
    done = invoke("check", file, "--net", str(studied.net))
    assert done.code == 2
    assert "layer 'other' is not in network tiny" in done.err


def test_what_the_device_rejects_is_told_in_its_words(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    schedule = autosched.load_schedule(studied.schedule)
    config = schedule.layers["2"]
    assert isinstance(config, Conv2dConfig)
    impossible = replace(config, core_grid=(CoreRange(0, 0, 40, 40),))
    layers = {**schedule.layers, "2": impossible}
    path = save_schedule(replace(schedule, layers=layers), tmp_path / "impossible.json")
    done = invoke("check", str(path), "--net", str(studied.net))
    assert done.code == 2
    assert "impossible.json: the device rejects 2: " in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--simulator", "gone.so"), "there is no simulator gone.so"),
        (("--simulator", ""), "no simulator: set TT_METAL_SIMULATOR"),
        (("--min-pcc", "2"), "--min-pcc"),
    ],
)
def test_a_simulator_that_cannot_be_opened_is_one_message(
    studied: Studied,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.setenv("TT_METAL_SIMULATOR", "")
    files = (str(studied.schedule), "--net", str(studied.net))
    done = invoke("check", *files, "--device", "simulator", *arguments)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_numbers_are_emulated_without_a_device(studied: Studied, invoke: Invoke) -> None:
    files = (str(studied.schedule), "--net", str(studied.net))
    done = invoke("check", *files, "--device", "emulator", "--layers", "--json")
    assert done.code == 0, done.err
    assert "(emulated)" in done.err
    assert done.json["executed"] == "emulated"
    assert done.json["device"] == "emulator"
    assert "latency_us" not in done.json
    (output,) = done.json["outputs"].values()
    assert 0.99 < output["pcc"] < 1.0
    assert all(layer["alone"]["concordance"] > 0.98 for layer in done.json["layers"])
    strict = invoke("check", *files, "--device", "emulator", "--min-pcc", "1.0")
    assert strict.code == 1
    searched = invoke("run", str(studied.net), "--device", "emulator")
    assert searched.code == 2
    assert "nothing runs on it" in searched.err


@pytest.mark.simulator
def test_a_schedule_is_executed_and_compared(
    studied: Studied, invoke: Invoke, simulated: str
) -> None:
    files = (str(studied.schedule), "--net", str(studied.net))
    done = invoke("check", *files, "--device", simulated, "--layers", "--json")
    assert done.code == 0, done.err
    assert done.json["executed"] == "simulated"
    assert done.json["is_right"] is True
    assert "latency_us" not in done.json
    assert {row["name"] for row in done.json["layers"]} == set(
        autosched.load_schedule(studied.schedule).layers
    )
    assert done.json["worst_layer"]["concordance"] > 0.99


def test_a_module_that_is_executed_is_named_before(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    file = edited(studied, tmp_path, "import ttnn\n", "import ttnn\nraise ValueError('ran')\n")
    done = invoke("check", file, "--net", str(studied.net), "--json")
    told, _, refusal = done.err.partition("error: ")
    assert f"Reading schedule {file} (it is executed)" in told
    assert "ran" in refusal


def test_safe_executes_nothing_of_a_schedule(
    studied: Studied, invoke: Invoke, tmp_path: Path
) -> None:
    done = invoke("check", str(studied.schedule), "--net", str(studied.net), "--safe")
    assert done.code == 0, done.err
    assert f"Reading schedule {studied.schedule} (as data)" in done.out
    assert f"Reading network file {studied.net} (it is executed)" in done.out
    harmful = 'open("witness", "w").close()'
    file = edited(studied, tmp_path, "import ttnn\n", f"import ttnn\n{harmful}\n")
    done = invoke("check", file, "--net", str(studied.net), "--safe")
    assert done.code == 2
    line = Path(file).read_text().splitlines().index(harmful) + 1
    assert f"error: {file}:{line}: open('witness', 'w').close() is no value" in done.err
    assert not (tmp_path / "witness").exists()
