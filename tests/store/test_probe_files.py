"""Probes as a file: all of them come back, and nothing that is not one comes in."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autosched.errors import StoreError
from autosched.store.database import Store, open_store
from autosched.store.merging import Tally
from autosched.store.probe_files import Origin, read_origin, read_probes, write_probes
from autosched.store.probes import ProbeKey, StoredProbe, all_probes, load_probes, save_probes
from tests.examples import records as examples

CURRENT = {examples.REVISION}
ORIGIN = Origin(examples.N150, "wormhole_b0 8x8, ...")
RAN, REJECTED = examples.probe(), examples.probe("layer b", outcome=examples.REJECTION)


def write(path: Path) -> Path:
    with open_store(f"sqlite:///{path}.sqlite3") as theirs:
        save_probes(theirs, [RAN, REJECTED])
        assert write_probes(theirs, ORIGIN, CURRENT, path) == 2
    return path


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write(tmp_path / "probes.gz")


def stored(store: Store) -> dict[ProbeKey, StoredProbe]:
    return dict(load_probes(store, ["layer a", "layer b"], examples.N150, CURRENT).probes)


def test_all_probes_come_back_in_any_database(written: Path, store: Store) -> None:
    assert read_origin(written) == ORIGIN
    assert read_probes(store, written, ORIGIN) == Tally(added=2)
    assert stored(store) == {RAN.key: RAN, REJECTED.key: REJECTED}
    assert read_probes(store, written, ORIGIN) == Tally(known=2)


def test_the_same_probes_are_the_same_bytes(written: Path, tmp_path: Path) -> None:
    assert write(tmp_path / "again.gz").read_bytes() == written.read_bytes()


def test_a_probe_stands_beside_what_other_code_answered(written: Path, store: Store) -> None:
    old = replace(RAN, key=replace(RAN.key, revision="fedcba9876543210"))
    save_probes(store, [old])
    assert read_probes(store, written, ORIGIN) == Tally(added=2)
    assert stored(store)[RAN.key] == RAN
    assert old in all_probes(store, examples.N150).probes


def test_without_probes_there_is_no_file(sqlite_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "none.gz"
    with pytest.raises(StoreError, match=r"has no probes of n150 \(mock\)"):
        write_probes(sqlite_store, ORIGIN, CURRENT, path)
    save_probes(sqlite_store, [RAN])
    with pytest.raises(StoreError, match="that are of use to this version"):
        write_probes(sqlite_store, ORIGIN, {"0123"}, path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (replace(ORIGIN, device=replace(examples.N150, ttnn_version="0.80.0")), "another device"),
        (replace(ORIGIN, board_facts="blackhole"), "another n150 than today's"),
        (replace(ORIGIN, compiler="sfpi 6"), "kernels by another compiler: none, not sfpi 6"),
    ],
)
def test_probes_of_something_else_are_refused(
    written: Path, sqlite_store: Store, expected: Origin, words: str
) -> None:
    with pytest.raises(StoreError, match=words):
        read_probes(sqlite_store, written, expected)


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda probe: probe.pop("config"), "line 2 is no probe"),
        (lambda probe: probe.update(rejection=None), "line 2 is no probe"),
        (lambda probe: probe.update(layer=7), "its key is none"),
        (lambda probe: probe.update(layer="a" * 300), "its key is none"),
        (lambda probe: probe.update(inputs="0123"), "under the key of other inputs"),
        (lambda probe: probe["config"].update(kind="no such"), "damaged, or another version's"),
        (lambda probe: probe["input_layouts"].append(1), "damaged, or another version's"),
        (lambda probe: probe["outcome"].update(ops="many"), "damaged, or another version's"),
    ],
)
def test_a_damaged_probe_is_named_and_nothing_comes_in(
    written: Path, sqlite_store: Store, tmp_path: Path, edit: Edit, words: str
) -> None:
    first, second, *more = gzip.decompress(written.read_bytes()).splitlines()
    probe = json.loads(second)
    edit(probe)
    damaged = tmp_path / "damaged.gz"
    lines = [first, json.dumps(probe).encode(), *more]
    damaged.write_bytes(gzip.compress(b"\n".join(lines)))
    before = stored(sqlite_store)
    with pytest.raises(StoreError, match=words):
        read_probes(sqlite_store, damaged, ORIGIN)
    assert stored(sqlite_store) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no compressed text", "no file of probes, or is cut off"),
        (gzip.compress(b"{}\n"), "no file of probes"),
        (gzip.compress(b"[" * 100_000 + b"\n"), "no JSON"),
        (gzip.compress(b" " * (5 << 20)), "a line is too long"),
        (gzip.compress(b'{"format": "autosched probes, format 1", "board": 1}\n'), "where its"),
        (b"", "is empty"),
    ],
    ids=["text", "other", "deep", "long", "nowhere", "empty"],
)
def test_what_is_no_file_of_probes_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "some.gz"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=words):
        read_origin(path)


def test_a_file_that_is_cut_off_or_not_there_is_said(
    written: Path, sqlite_store: Store, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(written.read_bytes()[:-30])
    with pytest.raises(StoreError, match="cut off"):
        read_probes(sqlite_store, cut, ORIGIN)
    with pytest.raises(StoreError, match="cannot be read"):
        read_origin(tmp_path / "nothing.gz")
