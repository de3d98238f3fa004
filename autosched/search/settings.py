"""How a study searches."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from autosched.device.interface import TimingSettings
from autosched.errors import StudyError
from autosched.space.formats import Formats


@dataclass(frozen=True)
class Settings:
    """How a study searches; stored with it, so that it can be resumed by name alone.

    ``network_file`` is the path of the user's ``net.py``, "" for a network made in Python;
    ``device`` is "mock" or "silicon". With ``allow_host`` the network is captured so that what
    ttnn lacks runs on the host. ``pinned`` and ``forbidden`` are restrictions of the candidates, as
    :meth:`~autosched.probing.restrictions.Restriction.parse` reads them.
    """

    network_file: str = ""
    device: str = "mock"
    sampler: str = "joint"
    effort: str = "default"
    seed: int = 0
    formats: Formats = field(default_factory=Formats)
    timing: TimingSettings = field(default_factory=TimingSettings)
    allow_host: bool = False
    pinned: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as JSON types."""
        restrictions = {"pinned": list(self.pinned), "forbidden": list(self.forbidden)}
        return {**asdict(self), **restrictions}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Settings":
        """Read back what :meth:`to_plain` wrote; what is missing has its default.

        Raises:
            StudyError: for a field or word that this version does not know.
        """
        values = dict(plain)
        try:
            formats = Formats.from_plain({**asdict(Formats()), **values.pop("formats", {})})
            timing = TimingSettings(**values.pop("timing", {}))
            for name in ("pinned", "forbidden"):
                values[name] = tuple(values.get(name, ()))
            return cls(**values, formats=formats, timing=timing)
        except (TypeError, ValueError) as error:
            raise StudyError(
                f"the study's settings are those of another version of autosched ({error}); go on "
                "with that version, or start a new study with --study NAME"
            ) from error
