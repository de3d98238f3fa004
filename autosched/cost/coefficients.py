"""A set of coefficients for one architecture: values, uncertainty, provenance, fingerprint."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosched.cost.ops.families import PRIORS
from autosched.cost.ops.work import ORDINARY_ERROR, SHARE, Prior
from autosched.errors import ProfileError, ScheduleError
from autosched.schedule.serialization import digest, fields_of, from_plain, to_plain

FORMAT = 7
"""Raised when formulas change so that older coefficient files no longer fit them."""


@dataclass(frozen=True)
class FamilyFit:
    """What calibration learned about one family of formulas.

    ``error`` is the standard deviation of log(measured / predicted) on held-out layers. ``factor``
    has the covariance of the coefficients, as :func:`to_free` maps them: a row each of a matrix
    that the covariance is the square of, zeros at its end left out; none where nothing was fitted,
    on no architecture. ``low`` and ``high`` bound the quantities that were fitted to, of all
    architectures. ``releases`` is the range of kernels it describes: generations of reports,
    by their month, and versions of ttnn. ``provenance`` says by coefficient which share of what is
    known of it is from where: silicon, points, simulations, the prior; empty where nothing was
    fitted.
    """

    values: Mapping[str, float]
    error: float
    rows: int = 0
    distinct: int = 0
    factor: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    releases: str = ""
    low: Mapping[str, float] = field(default_factory=dict)
    high: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Coefficients:
    """All families' coefficients for one architecture.

    ``ttnn_version`` is the release range of the profiles they were fitted on.
    """

    arch: str
    clock_ghz: float
    ttnn_version: str
    families: Mapping[str, FamilyFit]
    sources: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def version(self) -> str:
        """Name these coefficients: architecture, format and fingerprint."""
        return f"{self.arch}-{self.format}-{self.fingerprint[:6]}"

    @property
    def fingerprint(self) -> str:
        """Return a digest of everything but the sources' names."""
        plain = fields_of(self)
        return digest({name: value for name, value in plain.items() if name != "sources"})


FROM_CARD = "card"
"""Where a coefficient is known from that times of a card have told something of."""


def is_learned(coefficients: Coefficients) -> bool:
    """Whether times of a card have told something of some coefficients."""
    return any(
        FROM_CARD in shares
        for fit in coefficients.families.values()
        for shares in fit.provenance.values()
    )


def prior_values(family: str) -> dict[str, float]:
    """Return the prior values of one family."""
    return {name: prior.value for name, prior in PRIORS[family].items()}


def from_priors(arch: str, clock_ghz: float) -> Coefficients:
    """Return uncalibrated coefficients."""
    families = {name: FamilyFit(prior_values(name), ORDINARY_ERROR) for name in PRIORS}
    return Coefficients(arch, clock_ghz, "", families)


_ROW = re.compile(r"\[[-+.,\d\se]+\]")
"""A list of numbers, which is written on one line."""


def to_free(value: float, prior: Prior) -> float:
    """Map a coefficient to the whole line: logit for shares, else logarithm."""
    if prior.unit == SHARE:
        inside = min(max(value, 1e-6), 1 - 1e-6)
        return log(inside / (1 - inside))
    return log(max(value - prior.least, 1e-9))


def from_free(free: float, prior: Prior) -> float:
    """Map back from the whole line."""
    return 1 / (1 + exp(-free)) if prior.unit == SHARE else prior.least + exp(free)


_DECIMALS = 4


def factor_of(
    names: Sequence[str], covariance: NDArray[np.float64]
) -> dict[str, tuple[float, ...]]:
    """Return a covariance as :class:`FamilyFit` has it, of coefficients on the whole line."""
    order = np.argsort(names)
    root = np.linalg.cholesky(covariance[np.ix_(order, order)])
    return {
        names[place]: tuple(round(float(item), _DECIMALS) + 0.0 for item in row[: number + 1])
        for number, (place, row) in enumerate(zip(order, root, strict=True))
    }


def covariance_of(
    names: Sequence[str], factor: Mapping[str, Sequence[float]]
) -> NDArray[np.float64]:
    """Return the covariance that a factor is of, in the order of ``names``."""
    root = np.zeros((len(names), len(names)))
    for place, name in enumerate(names):
        row = factor[name]
        root[place, : len(row)] = row
    covariance: NDArray[np.float64] = root @ root.T
    return covariance


def coefficients_to_plain(coefficients: Coefficients) -> dict[str, Any]:
    """Return JSON types, with version and fingerprint, for :func:`coefficients_from_plain`."""
    return {
        "version": coefficients.version,
        "fingerprint": coefficients.fingerprint,
        **to_plain(coefficients),
    }


def save(coefficients: Coefficients, path: Path | str) -> None:
    """Write a coefficients file with its fingerprint."""
    text = json.dumps(coefficients_to_plain(coefficients), indent=1, sort_keys=True)
    lines = _ROW.sub(lambda row: f"[{' '.join(row.group()[1:-1].split())}]", text)
    Path(path).write_text(lines + "\n", encoding="utf-8")


def load(path: Path | str) -> Coefficients:
    """Read a coefficients file.

    Raises:
        ProfileError: if it is missing, no such file, for another format, or was edited.
    """
    path = Path(path)
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ProfileError(f"{path}: not a coefficients file ({error})") from error
    return coefficients_from_plain(plain, str(path))


def coefficients_from_plain(plain: Any, where: str) -> Coefficients:
    """Build coefficients from JSON types; see :func:`load` for errors."""
    try:
        if plain["format"] != FORMAT:
            raise ProfileError(
                f"{where}: has format {plain['format']}, this version reads {FORMAT}; "
                "run 'autosched calibrate' on the profiles again"
            )
        derived = ("version", "fingerprint")
        own = {name: value for name, value in plain.items() if name not in derived}
        coefficients: Coefficients = from_plain(Coefficients, own)
        if plain["fingerprint"] != coefficients.fingerprint:
            raise ProfileError(
                f"{where}: its fingerprint does not match its content; "
                "it was edited by hand, write it again with 'autosched calibrate'"
            )
    except (KeyError, TypeError, AttributeError, ScheduleError) as error:
        raise ProfileError(f"{where}: not a coefficients file ({error!r})") from error
    return coefficients


def shipped_path(arch: str) -> Path:
    """Return where the shipped coefficients of an architecture lie."""
    return Path(str(files("autosched.cost") / "coefficients" / f"{arch}.json"))
