"""The steps of ``autosched run``: check, capture, open the study, search."""

import math
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autosched.cli import hints
from autosched.device.interface import TimingSettings
from autosched.errors import SearchError, StudyError
from autosched.export.saving import check_target
from autosched.search.settings import Settings
from autosched.space.formats import parse_formats
from autosched.store.studies import StudyRecord


@dataclass(frozen=True)
class Target:
    """What is to be searched, as the user typed it.

    ``formats`` and ``timing`` map option to value; "", False or None where the user named none.
    ``start`` is the file of a schedule to start from, ``freeze`` has patterns of layers that stay
    as they are there, ``formats_of`` is the file of one whose formats the layers get; both are read
    as data where ``safe`` is set. Without
    ``check`` the captured network is not compared with its module. ``io`` is the order of images
    at both ends; None where the file or the study has its own. ``pack_images`` is a number of
    images, or "auto". ``cluster`` is the address of a Dask scheduler whose workers
    answer, in place of this machine's ``jobs``. Where it is ``strict``, probes come from the
    database alone.
    """

    net: str
    board: str | None
    device: str
    batch: int | None
    allow_host: bool
    name: str | None
    storage: str | None
    formats: Mapping[str, Any]
    timing: Mapping[str, int | None]
    jobs: int | None = None
    allow_known_faults: bool = False
    start: str | None = None
    freeze: tuple[str, ...] = ()
    safe: bool = False
    formats_of: str | None = None
    check: bool = True
    io: str | None = None
    pack_images: str = "auto"
    cluster: str | None = None
    strict: bool = False

    def settings(self, found: StudyRecord | None) -> Settings:
        """Return the settings of a new study, or of one that is there with what the user named.

        Raises:
            BoardError, SearchError: for a kind of device or a format that is none.
            StudyError: if the study that is there has other formats than those named.
        """
        if found is not None and any(self.formats.values()):
            stored = Settings.from_plain(found.settings)
            if parse_formats(**self.formats) != stored.formats.unpinned:
                raise StudyError(
                    f"study {found.name!r} is searched with other formats ({stored.formats}); give "
                    "this one a name of its own with --study NAME"
                )
        return self.likely_settings(found)

    def likely_settings(self, found: StudyRecord | None) -> Settings:
        """Return the same for a study that may turn out to be of another network.

        Raises:
            BoardError, SearchError: for a kind of device or a format that is none.
        """
        timing = {key: value for key, value in self.timing.items() if value is not None}
        if found is None:
            return Settings(
                network_file=hints.absolute_path(self.net),
                device=self.device,
                formats=parse_formats(**self.formats),
                timing=TimingSettings(**timing),
                allow_host=self.allow_host,
                allow_known_faults=self.allow_known_faults,
            )
        stored = Settings.from_plain(found.settings)
        device = stored.device if self.device == "auto" else self.device
        return replace(
            stored,
            device=device,
            timing=replace(stored.timing, **timing),
            allow_host=stored.allow_host or self.allow_host,
            allow_known_faults=stored.allow_known_faults or self.allow_known_faults,
        )


_FORM = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<s>\d+(?:\.\d+)?)s?)?"
)


# A clock of the system that is waited on takes no more than about three centuries.
_LONGEST_S = 10 * 365.25 * 86400


def parse_duration(text: str, option: str = "--timeout") -> float:
    """Return the seconds of "90s", "10m", "1h30m" or plain seconds.

    Raises:
        SearchError: if it is none of these, or longer than ten years.
    """
    found = _FORM.fullmatch(text.strip().lower().replace(" ", ""))
    if found is None or not any(found.groups()):
        raise SearchError(f"{option} {reprlib.repr(text)} is no duration; write 90s, 10m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in found.group("h", "m", "s"))
    duration_s = hours * 3600 + minutes * 60 + seconds
    if duration_s > _LONGEST_S:
        raise SearchError(f"{option} is longer than ten years; leave it out")
    return duration_s


_FIXED, _SEARCHED = _FORMATS = ("fixed", "search")


@dataclass(frozen=True)
class Wishes:
    """What the user named for a search; None where the study's own setting, or a default, holds."""

    sampler: str | None = None
    effort: str | None = None
    seed: int | None = None
    trials: int | None = None
    timeout: str | None = None
    export: str | None = None
    pinned: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    risk: float | None = None
    min_pcc: float | None = None
    min_metric: float | None = None
    formats: str | None = None

    def check(self) -> None:
        """Refuse what can be refused before anything slow is done.

        Raises:
            SearchError: for an unknown sampler or effort, a timeout that is no duration, or a pin
                or prohibition that is none.
            ScheduleError: if the schedule could not be written where it is wanted.
        """
        self.over(Settings())
        if self.timeout is not None:
            parse_duration(self.timeout)
        if self.export is not None:
            check_target(Path(self.export))

    def deadline_s(self, began: float) -> float:
        """Return when a search that ``began`` then has to end on that clock, infinite: never.

        Raises:
            SearchError: for a timeout that is no duration.
        """
        return math.inf if self.timeout is None else began + parse_duration(self.timeout)

    def _searches_formats(self) -> bool | None:
        if self.formats is None:
            return None if self.min_pcc is None and self.min_metric is None else True
        if self.formats not in _FORMATS:
            raise SearchError(f"--formats {self.formats!r} is not one of {', '.join(_FORMATS)}")
        return self.formats == _SEARCHED

    def over(self, settings: Settings) -> Settings:
        """Return settings with what the user named.

        Raises:
            SearchError: for an unknown sampler or effort, or a pin or prohibition that is none.
        """
        named: dict[str, Any] = {
            "sampler": self.sampler,
            "effort": self.effort,
            "seed": self.seed,
            "pinned": self.pinned or None,
            "forbidden": self.forbidden or None,
            "risk": self.risk,
            "min_pcc": self.min_pcc,
            "min_metric": self.min_metric,
            "search_formats": self._searches_formats(),
        }
        return replace(settings, **{key: item for key, item in named.items() if item is not None})
