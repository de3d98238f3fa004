"""The Python of the page on networks runs as it stands there; every option has its place."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NETWORKS = (ROOT / "docs" / "networks.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", NETWORKS, re.DOTALL | re.MULTILINE)


def block(language: str, mark: str) -> str:
    (found,) = (text for text in blocks(language) if mark in text)
    return found


def test_the_network_file_and_the_python_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "net.py").write_text(block("python", "input_shape"))
    script = block("python", "create_study").replace(
        '"n150", settings', f'"n150", storage="sqlite:///{tmp_path}/a.sqlite3", settings'
    )
    assert "storage=" in script
    notebook = block("python", "load_study").replace(
        '"net-n150"', f'"net-n150", storage="sqlite:///{tmp_path}/a.sqlite3"'
    )
    assert "storage=" in notebook
    script += f"""
{notebook}
for said in ("<th>gain</th>", "x over ttnn", "<th>proven bound</th>", ", gap "):
    assert said in study._repr_html_(), said
study.close()
device = autosched.open_local_device("n150").device
{block("python", "Runner(")}
assert [tuple(tensor.shape) for tensor in outputs] == [(1, 10)]
"""
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d+\.\d us \(estimated\)$", done.stdout, re.MULTILINE)
    assert (tmp_path / "net_n150.py").is_file()


def test_every_option_of_a_search_is_on_the_page_of_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "autosched.cli.main", "run", "--help"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    options = set(re.findall(r"^\s+(--[\w-]+)", done.stdout, re.MULTILINE)) - {"--help"}
    assert len(options) > 10
    assert sorted(option for option in options if f"`{option}" not in COMMANDS) == []
