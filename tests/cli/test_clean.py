from dataclasses import replace
from pathlib import Path

import pytest

from autosched.device.machine import ttnn_version
from autosched.device.revisions import reshard_revision
from autosched.store import probes, studies, trials
from autosched.store.database import open_store
from tests.cli.conftest import Invoke
from tests.examples import records as examples

OLD = "0.70.0"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with a kernel of two boards and one of the simulator."""
    place = tmp_path / "cache"
    monkeypatch.setenv("AUTOSCHED_CACHE", str(place))
    for name in ("kernels/n150/a", "kernels/p150/a", "simulator/blackhole/kernels-a/b"):
        kernel = place / f"ttnn-{OLD}" / name / "kernels/reader/7"
        kernel.mkdir(parents=True)
        (kernel / "brisc.elf").write_bytes(b"x" * 2**19)
    return place


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with a probe of today, one of another revision, one of another ttnn, studies."""
    url = f"sqlite:///{tmp_path}/clean.sqlite3"
    monkeypatch.setenv("AUTOSCHED_STORAGE", url)
    probe, today = examples.probe(), ttnn_version()
    device = replace(probe.key.device, ttnn_version=today)
    now = replace(probe.key, device=device, revision=reshard_revision())
    keys = [now, replace(now, config_digest="b" * 16, revision="stale")]
    keys.append(replace(now, device=replace(device, ttnn_version=OLD)))
    with open_store(url) as store:
        probes.save_probes(store, [replace(probe, key=key) for key in keys])
        for name, version in (("new", today), ("old", OLD)):
            record = replace(examples.study(), name=name, ttnn_version=version)
            trials.add_trial(store, studies.add_study(store, record), examples.trial())
    (tmp_path / "clean.sqlite3.2026-11-01.schema-0005").write_bytes(b"x")
    return url


def states(done) -> dict[tuple[str, str], str]:
    return {(row["what"], Path(row["of"]).name): row["state"] for row in done.json["found"]}


@pytest.mark.usefixtures("cache", "url")
def test_it_says_what_and_how_much_and_deletes_nothing_unasked(invoke: Invoke) -> None:
    done = invoke("clean", "--json")
    assert done.code == 0, done.err
    found = states(done)
    assert set(found.values()) == {"kept"}
    assert set(found) == {
        ("kernels", "n150"),
        ("kernels", "p150"),
        ("simulator", "blackhole"),
        ("backups", "clean.sqlite3.2026-11-01.schema-0005"),
        ("probes", "of another revision"),
        ("other-ttnn", "probes of another version"),
        ("studies", f"old (ttnn {OLD})"),
    }
    assert states(invoke("clean", "--json")) == found
    shown = invoke("clean").out
    assert "Nothing was deleted: --yes deletes 1.0 MiB of files and 1 row of the database." in shown
    assert "with --what studies" in shown


@pytest.mark.usefixtures("url")
def test_what_is_made_again_goes_by_default(invoke: Invoke, cache: Path) -> None:
    done = invoke("clean", "--yes", "--json")
    assert done.code == 0, done.err
    assert {key for key, state in states(done).items() if state == "deleted"} == {
        ("kernels", "n150"),
        ("kernels", "p150"),
        ("probes", "of another revision"),
    }
    assert not list(cache.glob("*/kernels/*/*/kernels"))
    assert "deleted" not in states(invoke("clean", "--yes", "--json")).values()
    assert list(cache.glob("*/simulator/*/*/*/kernels"))


@pytest.mark.usefixtures("cache")
def test_the_rest_goes_where_it_is_named_and_studies_of_today_never(
    invoke: Invoke, url: str, tmp_path: Path
) -> None:
    words = [
        word
        for kind in ("simulator", "backups", "other-ttnn", "studies")
        for word in ("--what", kind)
    ]
    done = invoke("clean", *words, "--yes", "--json")
    assert done.code == 0, done.err
    assert sorted(what for (what, _), state in states(done).items() if state == "kept") == [
        "kernels", "kernels", "probes",
    ]  # fmt: skip
    with open_store(url) as store:
        (left,) = studies.list_studies(store)
    assert (left.study.name, left.trials) == ("new", 1)
    assert not list(tmp_path.glob("*.schema-*"))


def test_without_anything_to_delete(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "cache"))
    done = invoke("clean", "--storage", f"sqlite:///{tmp_path}/none.sqlite3")
    assert done.code == 0, done.err
    assert "There is nothing to delete." in done.out
    assert not (tmp_path / "none.sqlite3").exists()


def test_an_unknown_kind_is_named_with_those_there_are(invoke: Invoke) -> None:
    done = invoke("clean", "--what", "trials")
    assert done.code == 2
    assert "--what 'trials' is nothing to delete; there are kernels, reports" in done.err
