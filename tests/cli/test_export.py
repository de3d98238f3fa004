from pathlib import Path

import autosched
from tests.cli.conftest import Invoke, Studied


def test_the_best_schedule_gets_the_name_of_its_study(studied: Studied, invoke: Invoke) -> None:
    done = invoke("export", "tiny-n150", "--storage", studied.url)
    assert done.code == 0, done.err
    assert Path("tiny_n150.py").read_bytes() == studied.schedule.read_bytes()
    assert "autosched check tiny_n150.py --net" in done.out


def test_any_trial_as_json(studied: Studied, invoke: Invoke) -> None:
    done = invoke(
        "export", "tiny-n150", "--trial", "0", "-o", "d.json", "--storage", studied.url, "--json"
    )
    assert done.code == 0, done.err
    assert done.json["schedule_path"] == "d.json"
    assert done.json["latency_us"] == studied.done.json["default_latency_us"]
    assert autosched.load_schedule("d.json").provenance.trial == 0


def test_a_trial_that_is_not_there(studied: Studied, invoke: Invoke) -> None:
    done = invoke("export", "tiny-n150", "--trial", "99", "--storage", studied.url)
    assert done.code == 2
    assert "no trial 99" in done.err


def test_what_was_edited_is_replaced_by_force_alone(studied: Studied, invoke: Invoke) -> None:
    arguments = ("export", "tiny-n150", "--storage", studied.url)
    assert invoke(*arguments).code == 0
    assert invoke(*arguments).code == 0
    path = Path("tiny_n150.py")
    exported = path.read_text()
    path.write_text(exported + "# tuned by hand\n")
    done = invoke(*arguments)
    assert done.code == 2
    assert "tiny_n150.py: this schedule was edited" in done.err
    assert path.read_text() != exported
    assert invoke(*arguments, "--force").code == 0
    assert path.read_text() == exported


def test_overrides_for_tt_mlir(studied: Studied, invoke: Invoke) -> None:
    arguments = ("export", "tiny-n150", "--format", "tt-mlir", "--storage", studied.url)
    done = invoke(*arguments)
    assert done.code == 0, done.err
    last = Path("tiny_n150.txt").read_text().splitlines()[-1]
    assert last.startswith("override-conv2d-config=0=weights_dtype#")
    assert invoke(*arguments).code == 0


def test_a_format_that_there_is_not_is_refused(studied: Studied, invoke: Invoke) -> None:
    done = invoke("export", "tiny-n150", "--format", "onnx", "--storage", studied.url)
    assert done.code == 2
    assert "one of module, json" in done.err
