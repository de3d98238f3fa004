"""Operators that ttnn lacks, from the command line."""

from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Invoke
from tests.cli.test_bad_input import refused

NET = TINY.replace(
    "model = ",
    "class Sum(nn.Module):\n"
    "    def forward(self, x):\n"
    "        return x.logcumsumexp(1)\n\n\n"
    "model = ",
).replace("nn.ReLU()", "Sum()")


@pytest.fixture
def net(tmp_path: Path) -> str:
    path = tmp_path / "sums.py"
    path.write_text(NET)
    return str(path)


def test_without_leave_the_error_names_operator_place_and_option(
    invoke: Invoke, net: str, tmp_path: Path
) -> None:
    done = invoke("run", net, "--storage", f"sqlite:///{tmp_path}/a.sqlite3")
    refused(done, "1.logcumsumexp (aten.logcumsumexp.default) at sums.py:6", "--allow-host")


def test_with_leave_it_is_searched_exported_checked_and_resumed(
    invoke: Invoke, net: str, tmp_path: Path
) -> None:
    storage = ("--storage", f"sqlite:///{tmp_path}/a.sqlite3")
    done = invoke("run", net, "--allow-host", "--effort", "quick", "--trials", "2", "--device",
                  "mock", "--export", "sums_n150.py", "--json", *storage)  # fmt: skip
    assert done.code == 0, done.err
    (row,) = done.json["host_layers"]
    assert (row["layer"], row["source"]) == ("1.logcumsumexp", "sums.py:6")
    assert (row["read_bytes"], row["written_bytes"]) == (65536, 65536)
    assert "Warning: 1 layer on the host, moving 64 KiB from the device and 64 KiB back" in done.err
    assert done.json["latency_us"] > 40
    assert 'method="host"' in Path("sums_n150.py").read_text()

    checked = invoke("check", "sums_n150.py", "--net", net, "--json")
    assert checked.code == 0, checked.err
    assert checked.json["latency_us"] == pytest.approx(done.json["latency_us"], rel=0.05)
    assert checked.json["host_layers"] == done.json["host_layers"]

    resumed = invoke("resume", "sums-n150", "--trials", "1", "--json", *storage)
    assert resumed.code == 0, resumed.err
    assert resumed.json["trials"] == 3
    again = invoke("run", net, "--trials", "0", "--json", *storage)
    assert again.code == 0, again.err


def test_coverage_names_the_layers(invoke: Invoke, net: str, tmp_path: Path) -> None:
    storage = ("--storage", f"sqlite:///{tmp_path}/a.sqlite3")
    done = invoke("coverage", net, "--allow-host", "--trials", "1", "--json", *storage)
    assert done.code == 0, done.err
    (row,) = done.json["rows"]
    assert row["host_layers"] == ["1.logcumsumexp"]
    assert row["feasible"]


CLASSES = TINY.replace(
    "model = ",
    "class Classes(nn.Module):\n"
    "    def forward(self, x):\n"
    "        return {'y': x, 'class': x.argmax(1), 'mask': x > 0}\n\n\n"
    "model = ",
).replace("padding=1)\n", "padding=1), Classes()\n")


def test_indices_and_masks_are_searched_exported_and_checked(
    invoke: Invoke, tmp_path: Path
) -> None:
    net, storage = tmp_path / "classes.py", ("--storage", f"sqlite:///{tmp_path}/a.sqlite3")
    net.write_text(CLASSES)
    refused(invoke("run", str(net), *storage), "call argmax on that", "mask", "--allow-host")
    done = invoke("run", str(net), "--allow-host", "--effort", "quick", "--trials", "2", "--device",
                  "mock", "--export", "classes_n150.py", "--json", *storage)  # fmt: skip
    assert done.code == 0, done.err
    assert [row["written_bytes"] for row in done.json["host_layers"]] == [0, 0]
    assert 'method="host_output"' in Path("classes_n150.py").read_text()
    checked = invoke("check", "classes_n150.py", "--net", str(net), "--json")
    assert checked.code == 0, checked.err
    assert checked.json["latency_us"] == pytest.approx(done.json["latency_us"], rel=0.05)
