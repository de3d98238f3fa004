"""How a study searches."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from autosched.device.requests import TimingSettings
from autosched.space.formats import Formats


@dataclass(frozen=True)
class Settings:
    """How a study searches; stored with it, so that it can be resumed by name alone.

    ``network_file`` is the path of the user's ``net.py``, "" for a network made in Python;
    ``device`` is "mock" or "silicon".
    """

    network_file: str = ""
    device: str = "mock"
    sampler: str = "joint"
    effort: str = "default"
    seed: int = 0
    formats: Formats = field(default_factory=Formats)
    timing: TimingSettings = field(default_factory=TimingSettings)

    def to_plain(self) -> dict[str, Any]:
        """Return the settings as JSON types."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Settings":
        """Read back what :meth:`to_plain` wrote."""
        values = dict(plain)
        formats, timing = values.pop("formats", {}), values.pop("timing", {})
        return cls(**values, formats=Formats.from_plain(formats), timing=TimingSettings(**timing))
