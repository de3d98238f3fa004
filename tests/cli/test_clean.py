from pathlib import Path

import pytest

from tests.cli.conftest import Invoke


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOSCHED_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_kernels_are_deleted_by_board(invoke: Invoke, cache: Path) -> None:
    for board in ("n150", "p150"):
        (cache / "ttnn-0.81.1/kernels" / board / "tt-metal-cache1/kernels/reader/7").mkdir(
            parents=True
        )
    (cache / "ttnn-0.81.1/simulator").mkdir()
    plain = invoke("clean", "--json").json
    assert [(Path(row["path"]).name, row["deleted"]) for row in plain["directories"]] == [
        ("n150", 1),
        ("p150", 1),
    ]
    assert not list(cache.glob("*/kernels/*/tt-metal-cache*"))
    assert (cache / "ttnn-0.81.1/simulator").is_dir()


@pytest.mark.usefixtures("cache")
def test_without_kernels(invoke: Invoke) -> None:
    done = invoke("clean")
    assert done.code == 0, done.err
    assert "No kernels of the mock device are kept." in done.out
