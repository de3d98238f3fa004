"""What a worker of a cluster offers, and what a study needs, as Dask's resources.

A resource of Dask's is a name and a number: a task that asks for one of a name runs on a worker
that has it. So a name says all that must be equal: the kind of device, the board, ttnn's version,
the state of our own code that runs and reads layers (:mod:`autosched.device.revisions`), and a
card's firmware.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from autosched.device.machine import ttnn_version
from autosched.device.revisions import current_revisions
from autosched.schedule.serialization import digest

_OURS = "autosched"
_COMPILER = "autosched-compiler"
_LISTED = 4
ANY = "any"
"""The board of a mock device: ttnn makes it the one that is asked for."""


@dataclass(frozen=True)
class Offer:
    """A kind of device ("mock" or "silicon") of a board, with ttnn's version and our code's.

    ``firmware`` is a card's, "" of a mock device, and of a card that does not say it.
    """

    kind: str
    board: str
    ttnn_version: str
    code: str
    firmware: str = ""

    @classmethod
    def of(cls, kind: str, board: str, firmware: str = "") -> "Offer":
        """Return what this machine's Python can offer, or need, of a kind of device and a board."""
        named = ANY if kind == "mock" else board
        return cls(kind, named, ttnn_version(), code_version(), firmware)

    @property
    def resource(self) -> str:
        """The name of Dask's resource."""
        parts = [self.kind, self.board, self.ttnn_version, self.code]
        parts += [self.firmware] if self.firmware else []
        return "/".join([_OURS, *(quote(part, safe="") for part in parts)])

    def difference(self, other: "Offer") -> str:
        """Return in words why whoever offers this cannot do what ``other`` needs, "" if it can."""
        if (self.kind, self.board) != (other.kind, other.board):
            return f"has {self}"
        if self.ttnn_version != other.ttnn_version:
            return f"has ttnn {self.ttnn_version}, not {other.ttnn_version}"
        if self.code != other.code:
            return "has another version of autosched, whose answers are not of today's code"
        if self.firmware != other.firmware:
            theirs, ours = (item.firmware or "unknown" for item in (self, other))
            return f"has a card of firmware {theirs}, not {ours}"
        return ""

    def __str__(self) -> str:
        return "a mock device" if self.kind == "mock" else f"a card, {self.board}"


def code_version() -> str:
    """Identify the code that answers probes and runs networks."""
    return digest(sorted(current_revisions()))[:12]


def resources(offer: Offer, devices: int, compiler: str) -> dict[str, float]:
    """Return what a worker tells Dask: its devices, and the compiler of their kernels ("": none).

    The compiler is said for whoever looks; no task asks for it.
    """
    said = {offer.resource: float(devices)}
    if compiler:
        said[f"{_COMPILER}/{quote(compiler, safe='')}"] = 1.0
    return said


def offers_of(said: Mapping[str, float]) -> list[tuple[Offer, int]]:
    """Return the offers among a worker's resources, with their numbers; others' are passed over."""
    found = []
    for name, number in said.items():
        ours, *parts = name.split("/")
        if ours == _OURS and len(parts) in {4, 5}:
            found.append((Offer(*map(unquote, parts)), int(number)))
    return found


def compiler_of(said: Mapping[str, float]) -> str:
    """Return the compiler of kernels among a worker's resources, "" where there is none."""
    names = (name.split("/") for name in said)
    return next((unquote(parts[1]) for parts in names if parts[0] == _COMPILER), "")


@dataclass(frozen=True)
class FoundWorkers:
    """Those of a cluster that can do what is needed, and why others cannot.

    ``able`` maps the address of a worker to how many devices it has, ``others`` to words.
    """

    able: Mapping[str, int]
    others: Mapping[str, str]

    @property
    def devices(self) -> int:
        """How many devices can be at work at once."""
        return sum(self.able.values())

    def listed(self) -> str:
        """Return the first of the others in words, in brackets; "" where there are none."""
        said = [f"{address} {why}" for address, why in sorted(self.others.items())]
        more = [f"{len(said) - _LISTED} more"] if len(said) > _LISTED else []
        return f" ({'; '.join(said[:_LISTED] + more)})" if said else ""


def need_of(kind: str, board: str, said: Iterable[Mapping[str, float]]) -> Offer:
    """Return what a study needs of workers that are given as resources.

    Of cards it is those of one firmware, that of the most: what others measure is not compared.
    """
    need = Offer.of(kind, board)
    count: Counter[str] = Counter()
    for offer, number in (found for named in said for found in offers_of(named)):
        if replace(offer, firmware="") == need:
            count[offer.firmware] += number
    return replace(need, firmware=max(sorted(count), key=count.__getitem__, default=""))


def sorted_workers(need: Offer, said: Mapping[str, Mapping[str, float]]) -> FoundWorkers:
    """Sort workers, given as resources by address, into those that can do it and others."""
    able, others = {}, {}
    for address, named in said.items():
        found = offers_of(named)
        numbers = [number for offer, number in found if offer == need]
        if sum(numbers):
            able[address] = sum(numbers)
        else:
            others[address] = _why_not(need, found)
    return FoundWorkers(able, others)


def _why_not(need: Offer, found: Iterable[tuple[Offer, int]]) -> str:
    reasons = [
        "has given its device up" if offer == need else offer.difference(need)
        for offer, _number in found
    ]
    return "; ".join(reasons) or "is no worker of autosched's"
