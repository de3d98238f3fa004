"""What promises share: the command line in a process of its own, and a small network."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.accept.frame import ROOT
from tests.cli.conftest import command

STUDIES = ROOT / "studies"
SMALL = """\
from torch import nn


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.wide = nn.Conv2d(64, 64, 3, padding=1)
        self.point = nn.Conv2d(64, 64, 1)

    def forward(self, x):
        waits = self.pool(self.stem(x).relu())
        return (self.point(self.wide(waits).relu()) + waits).relu()


model = Small()
input_shape = (1, 3, 32, 32)
"""
"""A network file whose search takes seconds: a residual block."""


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory that goes when it is no longer needed."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def database(directory: Path, name: str = "promise") -> str:
    """URL of a database of a directory."""
    return f"sqlite:///{directory}/{name}.sqlite3"


def autosched(*arguments: object) -> Any:
    """Run a command on the mock device and return its JSON object."""
    done = subprocess.run(
        [*command(*map(str, arguments)), "--json"], stdout=subprocess.PIPE, check=True, cwd=ROOT
    )
    return json.loads(done.stdout)
