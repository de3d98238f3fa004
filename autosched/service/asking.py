"""What may be asked of the service: a study of an allowed network file, searched with options.

Network files are executed: those below the directories that the operator allows, and no others.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from autosched.errors import AutoschedError, NetworkFileError, SearchError
from autosched.files import private_directory, replace_file
from autosched.network.ends import ORDERS
from autosched.search.settings import LARGEST_RISK, LARGEST_SEED, Settings
from autosched.space.formats import parse_formats

ENDINGS = (".py", ".pt2")
LARGEST_UPLOAD = 1 << 20
MOST_LISTED = 1000
_UPLOADED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\.py")


@dataclass(frozen=True)
class AllowedNetworks:
    """The directories, with symbolic links resolved; ``uploads`` is ours, None where none is taken.

    Uploaded files are below it, each in a directory named by its content.
    """

    roots: Sequence[Path]
    uploads: Path | None = None

    @classmethod
    def below(cls, directories: Sequence[str], uploads: Path | None = None) -> "AllowedNetworks":
        """Check the directories that an operator names.

        Raises:
            NetworkFileError: for one that is none.
        """
        roots = []
        for name in directories:
            path = Path(name)
            if not path.is_dir():
                raise NetworkFileError(f"--networks {name}: there is no such directory")
            roots.append(path.resolve())
        return cls(tuple(roots), uploads)

    @property
    def _all(self) -> Sequence[Path]:
        return self.roots if self.uploads is None else (*self.roots, self.uploads)

    def find(self, name: str) -> Path:
        """Return the file of a name: a path below one of the directories, or a whole one.

        Symbolic links are followed first, so that none leads out of them.

        Raises:
            NetworkFileError: if there is no such file there.
        """
        for root in self._all:
            path = _below(root, name)
            if path is not None:
                return path
        raise NetworkFileError(
            f"there is no network file {name!r} (.py or .pt2) below the directories that this "
            "service was started with; GET /api/networks lists those there are"
        )

    def shown(self, path: str) -> str:
        """Return a file's name below its directory."""
        for root in self._all:
            if Path(path).is_relative_to(root):
                return str(Path(path).relative_to(root))
        return Path(path).name

    def names(self) -> list[str]:
        """Return the names of files that may be submitted, sorted, of very many the first."""
        found: dict[str, None] = {}
        for root in self._all:
            for name in _files(root):
                found[name] = None
                if len(found) >= MOST_LISTED:
                    return sorted(found)
        return sorted(found)

    def keep(self, name: str, content: bytes) -> str:
        """Keep an uploaded file, and return the name by which it is submitted.

        Raises:
            NetworkFileError: if none are taken, or it is no such file.
            OSError: if it cannot be written.
        """
        if self.uploads is None:
            raise NetworkFileError(
                "this service takes no files; it was started without --allow-upload"
            )
        if _UPLOADED.fullmatch(name) is None:
            raise NetworkFileError(
                f"{name[:80]!r} is no name of a network file: letters, digits, _, . and -, ending "
                "in .py"
            )
        try:
            content.decode()
        except UnicodeDecodeError:
            raise NetworkFileError(f"{name} is no Python file: it is not UTF-8") from None
        directory = private_directory(self.uploads / hashlib.sha256(content).hexdigest()[:16])
        replace_file(directory / name, content, 0o600)
        return str((directory / name).relative_to(self.uploads))


def _below(root: Path, name: str) -> Path | None:
    try:
        path = (root / name).resolve()
        is_there = path.is_relative_to(root) and path.suffix in ENDINGS and path.is_file()
    except (OSError, ValueError, RuntimeError):  # no file can have the name, or links go in circles
        return None
    return path if is_there else None


def _files(root: Path) -> Iterator[str]:
    for directory, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith((".", "__")))
        for name in sorted(files):
            if name.endswith(ENDINGS) and not name.startswith((".", "__")):
                yield str((Path(directory) / name).relative_to(root))


LARGEST_BODY = 4 << 20
"""How many bytes a request may have; ResNet-50's schedule as JSON has some hundred thousand."""
MOST_WAITING = 1000
LARGEST_NUMBER = 2**31 - 1
"""The largest number that both databases count to."""

_Rule = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[ -~]+$")]
_Name = Annotated[str, StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
_Path = Annotated[
    str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
]
_ORDER = f"({'|'.join(ORDERS)})"
_ENDS = f"^{_ORDER}(,{_ORDER})?$"
_WORDS = ("effort", "sampler", "formats", "weights", "activations", "fidelity", "io")
_NUMBERS = (
    "trials",
    "batch",
    "seed",
    "risk",
    "min_pcc",
    "min_metric",
    "jobs",
    "warm_ups",
    "replays",
)
_SWITCHES = ("allow_host", "allow_known_faults", "fp32_accumulation")


class SearchOptions(BaseModel):
    """How to search, as the options of ``autosched run`` of the same names; all may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    effort: Literal["quick", "default", "full"] | None = None
    sampler: Literal["joint", "mutation", "tpe", "nsga2", "random"] | None = None
    trials: int | None = Field(
        default=None, ge=0, le=1_000_000, description="Trials of the whole network."
    )
    timeout_s: float | None = Field(
        default=None, ge=1, le=10 * 365 * 86400, description="Seconds after which the search ends."
    )
    batch: int | None = Field(default=None, ge=1, le=65536, description="Images per inference.")
    pack_images: Literal["auto"] | Annotated[int, Field(ge=1, le=65536)] | None = None
    device: Literal["auto", "mock", "silicon"] | None = None
    seed: int | None = Field(default=None, ge=0, le=LARGEST_SEED)
    risk: float | None = Field(default=None, ge=0, le=LARGEST_RISK)
    min_pcc: float | None = Field(default=None, gt=0, lt=1)
    min_metric: float | None = None
    formats: Literal["fixed", "search"] | None = None
    weights: Literal["bfloat16", "bfloat8_b", "bfloat4_b"] | None = None
    activations: Literal["bfloat16", "bfloat8_b"] | None = None
    fidelity: Literal["LoFi", "HiFi2", "HiFi3", "HiFi4"] | None = None
    fp32_accumulation: bool = False
    io: Annotated[str, StringConstraints(pattern=_ENDS)] | None = None
    allow_host: bool = False
    allow_known_faults: bool = False
    check: bool = Field(
        default=True, description="Compare the captured network with PyTorch first."
    )
    jobs: int | None = Field(default=None, ge=1, le=64)
    warm_ups: int | None = Field(default=None, ge=0, le=10_000)
    replays: int | None = Field(default=None, ge=1, le=1_000_000)
    pin: list[_Rule] = Field(default=[], max_length=200)
    forbid: list[_Rule] = Field(default=[], max_length=200)
    freeze: list[_Rule] = Field(default=[], max_length=200)
    start: dict[str, Any] | None = Field(
        default=None,
        description="A schedule to start from, as autosched export -o FILE.json writes it.",
    )

    def check_together(self) -> None:
        """Refuse what the search would refuse, before it waits its turn.

        Raises:
            AutoschedError: saying why.
        """
        searched = self.min_pcc is not None or self.min_metric is not None
        if self.formats is not None:
            searched = self.formats == "search"
        named: dict[str, Any] = {
            "sampler": self.sampler,
            "effort": self.effort,
            "seed": self.seed,
            "risk": self.risk,
            "min_pcc": self.min_pcc,
            "min_metric": self.min_metric,
        }
        Settings(
            **{name: value for name, value in named.items() if value is not None},
            formats=parse_formats(
                weights=self.weights or "",
                activations=self.activations or "",
                fidelity=self.fidelity or "",
                fp32_accumulation=self.fp32_accumulation,
            ),
            pinned=self.pin,
            forbidden=self.forbid,
            search_formats=searched,
        )
        if self.freeze and self.start is None:
            raise SearchError("freeze keeps layers of a schedule; give it as start")


class StudyRequest(BaseModel):
    """A study to search: a network file below an allowed directory, a board, and how."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"network": "resnet50.py", "board": "n150", "options": {"effort": "quick"}}
            ]
        },
    )

    network: _Path = Field(description="A file of GET /api/networks; it is executed.")
    attribute: (
        Annotated[str, StringConstraints(max_length=100, pattern=r"^[A-Za-z_]\w*$")] | None
    ) = Field(
        default=None, description="Which object of the file is the module, as in net.py:backbone."
    )
    board: _Name | None = Field(
        default=None, description="One that the service has; default: its first."
    )
    name: _Name | None = Field(
        default=None, description="The study's; one that is there goes on. Default: one of its own."
    )
    options: SearchOptions = SearchOptions()


def arguments(
    options: Mapping[str, Any], *, trials: int | None, timeout_s: float | None
) -> list[str]:
    """Return the options of ``autosched run`` that a submission's stored ones are.

    ``trials`` and ``timeout_s`` are what is left of those asked for, None for no such limit.

    Raises:
        SearchError: if they are not of this version.
    """
    try:
        asked = SearchOptions.model_validate(options)
        asked.check_together()
    except (ValueError, AutoschedError) as error:
        raise SearchError(f"its options are those of another version: {error}") from None
    return list(_arguments(asked, trials, timeout_s))


def _arguments(asked: SearchOptions, trials: int | None, timeout_s: float | None) -> Iterator[str]:
    numbers = {**{name: getattr(asked, name) for name in _NUMBERS}, "trials": trials}
    words = {name: getattr(asked, name) for name in (*_WORDS, "device", "pack_images")}
    for name, value in {**words, **numbers}.items():
        if value is not None:
            yield f"--{name.replace('_', '-')}={value}"
    if timeout_s is not None:
        yield f"--timeout={timeout_s:.3f}s"
    for name in _SWITCHES:
        if getattr(asked, name):
            yield f"--{name.replace('_', '-')}"
    if not asked.check:
        yield "--no-check"
    for name in ("pin", "forbid", "freeze"):
        for rule in getattr(asked, name):
            yield f"--{name}={rule}"
