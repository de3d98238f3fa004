"""How a study searches: the door through which every wish of a user comes, checked once."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from autosched.device.interface import TimingSettings
from autosched.device.machine import check_kind
from autosched.errors import AutoschedError, SearchError, StudyError
from autosched.network.ends import NCHW
from autosched.probing.restrictions import Restriction, format_pins
from autosched.schedule.serialization import from_plain, to_plain
from autosched.search.samplers.proposals import check_sampler
from autosched.space.efforts import Effort, find_effort
from autosched.space.formats import Formats

RISK = 0.005
"""How much slower a schedule may be that risks less, as a share of the fastest one's time."""

LARGEST_RISK = 0.5

MIN_PCC = 0.99
"""What a search for formats asks of each output where the user names nothing else."""


@dataclass(frozen=True, init=False)
class Settings:
    """How a study searches; stored with it, so that it can be resumed by name alone.

    ``network_file`` is the path of the user's ``net.py``, "" for a network made in Python;
    ``device`` is "mock", "silicon", or "auto" for a card if there is one. With ``allow_host`` the
    network is captured so that what ttnn lacks runs on the host. ``pinned`` and ``forbidden`` are
    restrictions of the candidates, and pins of formats are those of the layers they name; with
    ``allow_known_faults`` those that are known to go wrong on a card are left in. ``io`` is the
    order in which the network takes its images and hands them back (:mod:`autosched.network.ends`),
    ``pack_images`` how many of a batch the network's tensors have beside each other in channels.
    ``risk`` is the share by which the best schedule may be slower than the fastest, as estimated,
    where it risks less (:mod:`autosched.search.risk`). Outputs keep a PCC of ``min_pcc`` and the
    network's own metric of ``min_metric``, as emulated; with ``search_formats`` by formats of each
    layer's own. A study of a ``front`` has schedules from the fastest that the floor allows to the
    most exact one.
    One that exists is a checked one: nobody asks again.
    """

    network_file: str
    device: str
    sampler: str
    effort: Effort
    seed: int
    formats: Formats
    timing: TimingSettings
    allow_host: bool
    pinned: tuple[Restriction, ...]
    forbidden: tuple[Restriction, ...]
    allow_known_faults: bool
    io: str
    pack_images: int
    risk: float
    min_pcc: float | None
    min_metric: float | None
    search_formats: bool
    front: bool

    def __init__(  # noqa: PLR0913, PLR0917 - one argument for each wish
        self,
        network_file: str = "",
        device: str = "auto",
        sampler: str = "joint",
        effort: str | Effort = "default",
        seed: int = 0,
        formats: Formats | None = None,
        timing: TimingSettings | None = None,
        allow_host: bool = False,
        pinned: Iterable[str | Restriction] = (),
        forbidden: Iterable[str | Restriction] = (),
        allow_known_faults: bool = False,
        io: str = NCHW,
        pack_images: int = 1,
        risk: float = RISK,
        min_pcc: float | None = None,
        min_metric: float | None = None,
        search_formats: bool = False,
        front: bool = False,
    ) -> None:
        """Check the words of a user: names, and texts as ``Restriction.parse`` reads them.

        Raises:
            SearchError: for an unknown sampler or effort, a seed out of range, a text that is no
                restriction, less than one image, or a risk that is no such share.
            BoardError: for an unknown kind of device.
        """
        check_sampler(sampler)
        check_kind(device)
        _check_seed(seed)
        if not 0.0 <= risk <= LARGEST_RISK:
            raise SearchError(f"a risk of {risk}: it is a share from 0 to {LARGEST_RISK}")
        if min_pcc is not None and not 0.0 < min_pcc < 1.0:
            raise SearchError(f"--min-pcc {min_pcc}: it is more than 0 and less than 1, as 0.99 is")
        if min_metric is not None and not math.isfinite(min_metric):
            raise SearchError(f"--min-metric {min_metric}: it is a finite number")
        if search_formats and sampler != "joint":
            raise SearchError(
                f"--formats search solves for the formats, which sampler {sampler!r} does not; "
                "leave out --sampler, or give --formats fixed"
            )
        if pack_images < 1:
            raise SearchError(f"{pack_images} images cannot be packed; it is 1 or more")
        pins = _parsed(pinned, pins=True)
        values = {
            "network_file": network_file,
            "device": device,
            "sampler": sampler,
            "effort": find_effort(effort) if isinstance(effort, str) else effort,
            "seed": seed,
            "formats": replace(formats or Formats(), pins=format_pins(pins)),
            "timing": timing or TimingSettings(),
            "allow_host": allow_host,
            "pinned": pins,
            "forbidden": _parsed(forbidden, pins=False),
            "allow_known_faults": allow_known_faults,
            "io": io,
            "pack_images": pack_images,
            "risk": risk,
            "min_pcc": min_pcc,
            "min_metric": min_metric,
            "search_formats": search_formats,
            "front": front,
        }
        if search_formats and min_pcc is None and min_metric is None:
            values["min_pcc"] = MIN_PCC
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def restrictions(self) -> tuple[Restriction, ...]:
        """What is pinned, then what is forbidden."""
        return (*self.pinned, *self.forbidden)

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as JSON types."""
        return {
            "network_file": self.network_file,
            "device": self.device,
            "sampler": self.sampler,
            "effort": self.effort.name,
            "seed": self.seed,
            "formats": to_plain(self.formats.unpinned),
            "timing": to_plain(self.timing),
            "allow_host": self.allow_host,
            "pinned": [rule.text for rule in self.pinned],
            "forbidden": [rule.text for rule in self.forbidden],
            "allow_known_faults": self.allow_known_faults,
            "io": self.io,
            "pack_images": self.pack_images,
            "risk": self.risk,
            **({} if self.min_pcc is None else {"min_pcc": self.min_pcc}),
            **({} if self.min_metric is None else {"min_metric": self.min_metric}),
            **({"search_formats": True} if self.search_formats else {}),
            **({"front": True} if self.front else {}),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Settings":
        """Read back what :meth:`to_plain` wrote; what is missing has its default.

        Studies from before there was a risk have none.

        Raises:
            StudyError: for a field or word that this version does not know.
        """
        values = {"risk": 0.0, **plain}
        try:
            formats = from_plain(Formats, values.pop("formats", {}), "Settings.formats")
            timing = from_plain(TimingSettings, values.pop("timing", {}), "Settings.timing")
            return cls(**values, formats=formats, timing=timing)
        except (TypeError, ValueError, AutoschedError) as error:
            raise StudyError(
                f"the study's settings are those of another version of autosched ({error}); go on "
                "with that version, or start a new study with --study NAME"
            ) from error


LARGEST_SEED = 2**32 - 1
"""NumPy's generators, which samplers draw from, take no larger one."""


def _check_seed(seed: int) -> None:
    if not 0 <= seed <= LARGEST_SEED:
        shown = str(seed) if abs(seed) < 10**30 else "one of more than 30 digits"
        raise SearchError(f"the seed is {shown}; it is from 0 to {LARGEST_SEED}")


def _parsed(texts: Iterable[str | Restriction], *, pins: bool) -> tuple[Restriction, ...]:
    return tuple(
        Restriction.parse(item, pins=pins) if isinstance(item, str) else item for item in texts
    )
