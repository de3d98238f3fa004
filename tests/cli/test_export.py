import re
import shlex
from pathlib import Path

import pytest

import autosched
from autosched.export.saving import FORMATS
from autosched.store.database import open_store
from autosched.store.studies import get_study
from autosched.store.trials import finished_trial
from tests.cli.conftest import Invoke, Studied
from tests.examples.small_studies import STUDIES

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text()
ON_HOST = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 32, 3, padding=1)

    def forward(self, x):
        return self.conv(x).logcumsumexp(1)


model = Net()
input_shape = (1, 8, 32, 32)
"""


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


def same_ops_as_the_trial(program: str, url: str, study: str, invoke: Invoke) -> None:
    done = invoke("profile", program, "--json")
    assert done.code == 0, done.err
    with open_store(url) as store:
        best, _ = finished_trial(store, get_study(store, study))
    ops = [(op.code.removesuffix("DeviceOperation"), op.cores) for op in best.ops]
    assert [(op["op"], op["cores"]) for op in done.json["ops"]] == ops
    assert done.json["latency_us"] == pytest.approx(best.latency_us, rel=0.01)
    assert done.json["peak_l1_bytes"] == best.peak_l1_bytes


def test_a_model_runs_the_ops_of_its_trial(studied: Studied, invoke: Invoke) -> None:
    arguments = ("export", "tiny-n150", "--format", "model", "--storage", studied.url)
    done = invoke(*arguments, "--json")
    assert done.code == 0, done.err
    assert done.json["format"] == "model"
    assert Path("tiny_n150_model.pt").is_file()
    same_ops_as_the_trial("tiny_n150_model.py", studied.url, "tiny-n150", invoke)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_so_does_a_resnet_18(invoke: Invoke, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite3"
    more = ("--effort", "quick", "--trials", "2", "--device", "mock", "--storage", url)
    assert invoke("run", str(STUDIES / "resnet18.py"), *more).code == 0
    study = ("export", "resnet18-n150", "--storage", url)
    assert invoke(*study, "--format", "model", "-o", "model.py").code == 0
    same_ops_as_the_trial("model.py", url, "resnet18-n150", invoke)


def test_a_model_leaves_a_file_that_is_not_its_own(studied: Studied, invoke: Invoke) -> None:
    Path("mine.py").write_text("mine")
    arguments = ("export", "tiny-n150", "--format", "model", "--storage", studied.url, "-o")
    done = invoke(*arguments, "mine.py")
    assert done.code == 2
    assert "no export of ours" in done.err
    Path("other.pt").write_text("mine")
    done = invoke(*arguments, "other.py")
    assert done.code == 2
    assert not Path("other.py").exists()
    assert Path("other.pt").read_text() == "mine"


def test_a_network_with_a_host_layer_is_no_model(invoke: Invoke, tmp_path: Path) -> None:
    Path("net.py").write_text(ON_HOST)
    url = f"sqlite:///{tmp_path}/a.sqlite3"
    more = ("--effort", "quick", "--trials", "1", "--device", "mock", "--storage", url)
    done = invoke("run", "net.py", "--allow-host", *more)
    assert done.code == 0, done.err
    done = invoke("export", "net-n150", "--format", "model", "--storage", url)
    assert done.code == 2
    assert "aten.logcumsumexp.default) runs on the host" in done.err
    assert not Path("net_n150_model.py").exists()


def test_overrides_for_tt_mlir(studied: Studied, invoke: Invoke) -> None:
    arguments = ("export", "tiny-n150", "--format", "tt-mlir", "--storage", studied.url)
    done = invoke(*arguments)
    assert done.code == 0, done.err
    last = Path("tiny_n150.txt").read_text().splitlines()[-1]
    assert last.startswith("override-conv2d-config=0=weights_dtype#")
    assert invoke(*arguments).code == 0


def test_the_page_runs_as_it_stands_there(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCHED_STORAGE", f"sqlite:///{tmp_path}/a.sqlite3")
    (net,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    Path("tiny.py").write_text(net)
    for line in re.findall(r"^\$ autosched (.*)$", PAGE, re.MULTILINE):
        done = invoke(*shlex.split(line))
        assert done.code == 0, done.err
    assert all(f"| `{name}`" in PAGE for name in FORMATS)
    source = Path("tiny_n150_model.py").read_text()
    for call in re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE):
        assert f"def {call}(" in source


def test_a_format_that_there_is_not_is_refused(studied: Studied, invoke: Invoke) -> None:
    done = invoke("export", "tiny-n150", "--format", "onnx", "--storage", studied.url)
    assert done.code == 2
    assert "one of module, json" in done.err
