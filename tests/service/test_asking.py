import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.main import get_command

from autosched.cli.app import app
from autosched.errors import AutoschedError, NetworkFileError, SearchError
from autosched.service.asking import AllowedNetworks, SearchOptions, StudyRequest, arguments


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    root = tmp_path / "nets"
    (root / "deep" / ".hidden").mkdir(parents=True)
    for name in ("a.py", "b.pt2", "c.txt", "deep/d.py", "deep/.hidden/e.py", ".f.py"):
        (root / name).write_text("")
    (tmp_path / "secret.py").write_text("")
    (root / "out.py").symlink_to(tmp_path / "secret.py")
    (root / "up").symlink_to(tmp_path)
    (root / "in.py").symlink_to(root / "a.py")
    (root / "loop.py").symlink_to(root / "loop.py")
    os.mkfifo(root / "pipe.py")
    (root / "dir.py").mkdir()
    return root


def test_files_below_the_directories_are_found(nets: Path) -> None:
    allowed = AllowedNetworks.below([str(nets)])
    assert allowed.find("a.py") == nets / "a.py"
    assert allowed.find(str(nets / "deep" / "d.py")) == nets / "deep" / "d.py"
    assert allowed.find("deep/../b.pt2") == nets / "b.pt2"
    assert allowed.find("in.py") == nets / "a.py"
    assert allowed.shown(str(nets / "deep" / "d.py")) == "deep/d.py"
    assert {"a.py", "b.pt2", "deep/d.py"} <= set(allowed.names())
    assert not {name for name in allowed.names() if "hidden" in name or name.endswith(".txt")}


@pytest.mark.parametrize(
    "name",
    [
        "out.py", "up/secret.py", "../secret.py", "deep/../../secret.py", "/etc/passwd", "c.txt",
        "none.py", "", ".", "a.py/", "a.py\0", "x" * 5000, "pipe.py", "dir.py", "loop.py",
        "\udcff.py", "~/a.py", "//a.py/../../secret.py",
    ],
)  # fmt: skip
def test_no_others(nets: Path, name: str) -> None:
    allowed = AllowedNetworks.below([str(nets)])
    if name == "a.py/":
        assert allowed.find(name) == nets / "a.py"
        return
    with pytest.raises(NetworkFileError, match="no network file"):
        allowed.find(name)


def test_a_directory_that_is_none_is_refused(nets: Path) -> None:
    with pytest.raises(NetworkFileError, match="no such directory"):
        AllowedNetworks.below([str(nets / "a.py")])


def test_an_upload_is_kept_by_its_content(tmp_path: Path) -> None:
    allowed = AllowedNetworks((), tmp_path)
    name = allowed.keep("net.py", b"x = 1\n")
    assert allowed.find(name).read_text() == "x = 1\n"
    assert allowed.keep("net.py", b"x = 1\n") == name
    assert allowed.keep("net.py", b"x = 2\n") != name
    assert (tmp_path / name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["../net.py", "a/b.py", "net.pt2", ".py", "net.py\n", "é.py", ""])
def test_an_upload_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(NetworkFileError):
        AllowedNetworks((), tmp_path).keep(name, b"")
    assert list(tmp_path.iterdir()) == []


def test_an_upload_is_text(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match="UTF-8"):
        AllowedNetworks((), tmp_path).keep("net.py", b"\xff")


def test_uploads_are_refused_where_they_are_not_allowed(nets: Path) -> None:
    with pytest.raises(NetworkFileError, match="--allow-upload"):
        AllowedNetworks.below([str(nets)]).keep("net.py", b"")


EVERYTHING = {
    "effort": "quick", "sampler": "mutation", "trials": 7, "timeout_s": 90.5, "batch": 2,
    "pack_images": 2, "device": "mock", "seed": 3, "risk": 0.01, "min_pcc": 0.9,
    "min_metric": 1.5, "formats": "fixed", "weights": "bfloat16", "activations": "bfloat16",
    "fidelity": "HiFi2", "fp32_accumulation": True, "io": "nchw,device", "allow_host": True,
    "allow_known_faults": True, "check": False, "jobs": 2, "warm_ups": 1, "replays": 9,
    "pin": ["conv1:shard_layout=height"], "forbid": ["*:memory=dram"], "freeze": ["a*"],
    "start": {},
}  # fmt: skip


def test_every_option_is_one_of_the_command_s() -> None:
    assert set(EVERYTHING) == set(SearchOptions.model_fields)
    words = arguments(EVERYTHING, trials=5, timeout_s=60.0)
    run = get_command(app).commands["run"]  # type: ignore[attr-defined]
    context = run.make_context("run", ["net.py", *words])
    found = context.params
    for name in ("effort", "sampler", "batch", "device", "seed", "risk", "min_pcc", "io", "jobs"):
        assert found[name] == EVERYTHING[name]
    assert (found["trials"], found["timeout"]) == (5, "60.000s")
    assert (found["pin"], found["no_check"], found["fp32_accumulation"]) == (
        ["conv1:shard_layout=height"], True, True,
    )  # fmt: skip


def test_nothing_asked_is_nothing_said() -> None:
    assert arguments({}, trials=None, timeout_s=None) == []


@pytest.mark.parametrize(
    "options",
    [
        {"trials": -1}, {"trials": 2**40}, {"trials": "5"}, {"trials": 1.5}, {"trials": True},
        {"timeout_s": float("nan")}, {"timeout_s": float("inf")}, {"min_pcc": 1.0},
        {"min_metric": float("nan")}, {"min_metric": float("-inf")}, {"risk": -0.1},
        {"effort": "slow"}, {"io": "nchw,"}, {"io": "nchw\n"}, {"pin": ["x"] * 201},
        {"pin": ["a\nb:c=d"]}, {"unknown": 1}, {"seed": 2**32}, {"pack_images": "some"},
        {"pack_images": 0}, {"start": [1]}, {"batch": 0},
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SearchOptions.model_validate(options)


@pytest.mark.parametrize(
    "options",
    [
        {"pin": ["nonsense"]},
        {"forbid": ["a:b"]},
        {"formats": "search", "sampler": "tpe"},
        {"freeze": ["a*"]},
        {"min_pcc": 0.9, "sampler": "mutation"},
    ],
)
def test_what_the_search_would_refuse_is_refused_before(options: dict[str, object]) -> None:
    with pytest.raises(AutoschedError):
        SearchOptions.model_validate(options).check_together()


def test_options_of_another_version_are_said_to_be() -> None:
    with pytest.raises(SearchError, match="another version"):
        arguments({"no_such": 1}, trials=None, timeout_s=None)


@pytest.mark.parametrize(
    "more",
    [
        {"network": ""}, {"network": "a\nb.py"}, {"network": "x" * 1001}, {"network": None},
        {"name": "-x"}, {"name": "a b"}, {"name": "x" * 101}, {"name": ""}, {"attribute": "a-b"},
        {"attribute": "a\n"}, {"board": "../n150"}, {"more": 1},
    ],
)  # fmt: skip
def test_names_are_plain(more: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StudyRequest.model_validate({"network": "a.py", **more})
