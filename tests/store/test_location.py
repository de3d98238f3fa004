import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import autosched
from autosched.store import address as location
from autosched.store.migrations import migrations_directory

_ROOT = Path(autosched.__file__).parents[1]


def test_a_checkout_keeps_its_database_in_db() -> None:
    assert location.default_url() == f"sqlite:///{_ROOT}/db/autosched.sqlite3"
    assert (migrations_directory() / "versions").is_dir()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A package directory as the wheel lays it out."""
    site = tmp_path / "site"
    skipped = shutil.ignore_patterns("__pycache__", "*.sqlite3*")
    shutil.copytree(_ROOT / "autosched", site / "autosched", ignore=skipped)
    shutil.copytree(_ROOT / "db", site / "autosched" / "_db", ignore=skipped)
    return site


@pytest.mark.parametrize(
    ("data_home", "expected"),
    [
        ("{tmp}/data", "{tmp}/data/autosched/autosched.sqlite3"),
        ("relative", "{tmp}/.local/share/autosched/autosched.sqlite3"),
    ],
)
def test_an_installed_package_uses_the_data_directory_of_the_user(
    installed: Path, tmp_path: Path, data_home: str, expected: str
) -> None:
    script = (
        "from autosched.store.database import open_store\n"
        "with open_store() as store: print(store.describe())"
    )
    environment = {
        "PYTHONPATH": str(installed),
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": data_home.format(tmp=tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == expected.format(tmp=tmp_path)
    assert Path(done.stdout.strip()).is_file()
