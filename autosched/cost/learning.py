"""Coefficients learned from few times of one card, with those of a calibration as prior.

What a calibration leaves open is normal in the logarithms of its coefficients (logits of shares),
with the covariance that it keeps; its samples are not needed. Beside the coefficients, a family's
formulas miss an op by an error of which its ops have ``COMMON`` in common, those of a layer
``OF_A_LAYER`` more, and the rest is the op's own (:mod:`autosched.cost.uncertainty`). What is
common is a factor on all of a family's costs, and so is learned as one. All of this is a vector of
independent standard normal features; the log of a time is linear in them near any coefficients::

    log(measured) = log(time(coefficients)) + features of layers and ops + noise

The most probable coefficients are found by Gauss and Newton's steps, each the exact answer of the
linear problem (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 2.1),
shortened where it overshoots. A time that fits nothing else counts less, as in a calibration.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

from autosched.cost.coefficients import Coefficients, FamilyFit
from autosched.cost.model import UNKNOWN_ERROR, CostModel, transfer_fit, untimed
from autosched.cost.ops.families import is_known, read_features, work_of
from autosched.cost.ops.host import HOST_TRANSFER
from autosched.cost.ops.work import Work, cycles_of
from autosched.cost.uncertainty import (
    COMMON,
    OF_A_LAYER,
    REACH,
    FreeFamily,
    reach,
    slopes_of,
)
from autosched.schedule.outcomes import DeviceOp

_Array = NDArray[np.float64]

OUTLYING = 1.5
"""Standard errors beyond which a time counts less and less."""

_WEIGHINGS = 6
_STEPS = 20
_HALVINGS = 6
_CONVERGED = 1e-5
_ALIKE = 0.1


@dataclass(frozen=True)
class Measured:
    """A measured time: of some ops together, on behalf of a layer.

    ``noise_log`` is the standard error of its logarithm.
    """

    ops: tuple[DeviceOp, ...]
    layer: str
    time_ns: float
    noise_log: float


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimated times in nanoseconds, and what moves their logarithms: a row of features each."""

    time_ns: _Array
    features: csr_matrix


@dataclass(frozen=True)
class _Felt:
    """An op at some coefficients: its time, and the features of the logarithm of that."""

    time_ns: float
    places: NDArray[np.int64]
    weights: _Array


class Learner:
    """Learns one architecture's coefficients, from a set to start from and measured times."""

    def __init__(self, base: Coefficients) -> None:
        self.base = base
        self.families: dict[str, FreeFamily] = {}
        first = 0
        for name, fit in base.families.items():
            self.families[name] = FreeFamily(name, fit, first)
            first = self.families[name].place.stop
        self.count = first
        self._transfers = transfer_fit(base.clock_ghz)
        self._latent: dict[object, int] = {}
        self._works: dict[DeviceOp, tuple[Work, bool]] = {}

    @property
    def width(self) -> int:
        """How many features there are by now: those of coefficients, then those of the rest."""
        return self.count + len(self._latent)

    def learn(self, measured: Sequence[Measured]) -> "Belief":
        """Return what is known after some times were measured."""
        standing = np.zeros(self.count)
        noise = _squares(measured)
        belief = Belief(self, standing, measured, noise)
        for _ in range(_WEIGHINGS if measured else 0):
            for _ in range(_STEPS):
                belief, gained = _stepped(belief)
                if gained < _CONVERGED:
                    break
            before, noise = noise, belief.robust_noise()
            belief = Belief(self, belief.standing, measured, noise)
            if np.allclose(before, noise, rtol=_ALIKE):
                break
        return belief

    def work(self, op: DeviceOp) -> tuple[Work, bool]:
        """Return an op's work, and whether it has formulas of its own."""
        plain = untimed(op)
        found = self._works.get(plain)
        if found is None:
            found = self._works[plain] = work_of(read_features(plain)), is_known(plain)
        return found

    def latent(self, key: object) -> int:
        """Return the place of a feature that is no coefficient's."""
        return self._latent.setdefault(key, self.count + len(self._latent))

    def values_at(self, standing: _Array) -> dict[str, dict[str, float]]:
        """Return the coefficients of all families where their features stand so."""
        found = {HOST_TRANSFER: dict(self._transfers.values)}
        for name, family in self.families.items():
            values = family.values(family.start + family.spread @ standing[family.place])
            found[name] = dict(zip(family.names, map(float, values), strict=True))
        return found

    def fit_of(self, family: str) -> FamilyFit:
        """Return what is known of a family before anything is measured."""
        return self._transfers if family == HOST_TRANSFER else self.base.families[family]


def _squares(measured: Sequence[Measured]) -> _Array:
    noise: _Array = np.array([item.noise_log for item in measured], dtype=np.float64)
    return noise * noise


def _stepped(belief: "Belief") -> tuple["Belief", float]:
    """Take a step to the answer of the linear problem; return by how much that was better."""
    before = belief.misery()
    way = belief.answer() - belief.standing
    for halving in range(_HALVINGS):
        tried = belief.moved_to(belief.standing + way / 2**halving)
        gained = before - tried.misery()
        if gained >= 0.0:
            return tried, gained
    return belief, 0.0


class Belief:
    """What is known of times at some coefficients, after some measured ones."""

    def __init__(
        self, learner: Learner, standing: _Array, measured: Sequence[Measured], noise: _Array
    ) -> None:
        self.standing = standing
        self.measured = measured
        self._learner = learner
        self._noise = noise
        self._values = learner.values_at(standing)
        self._moved: dict[str, tuple[Mapping[str, int], _Array]] = {}
        for name, family in learner.families.items():
            values = np.array(list(self._values[name].values()))
            self._moved[name] = (
                {one: number for number, one in enumerate(family.names)},
                family.moved(values)[:, None] * family.spread,
            )
        self._felt: dict[tuple[DeviceOp, str], _Felt] = {}
        self._timed = self._estimated((item.ops, item.layer) for item in measured)
        targets = np.array([item.time_ns for item in measured])
        self._error = np.log(targets) - np.log(self._timed.time_ns) if measured else np.zeros(0)
        rows = self._timed.features.toarray()
        self._coefficient_rows = rows[:, : learner.count]
        rest = rows[:, learner.count :]
        self._rest = rest @ rest.T + np.diag(noise)
        self._solver = (
            cho_factor(self._coefficient_rows @ self._coefficient_rows.T + self._rest)
            if measured
            else None
        )

    def moved_to(self, standing: _Array) -> "Belief":
        """Return the same at other coefficients."""
        return Belief(self._learner, standing, self.measured, self._noise)

    def misery(self) -> float:
        """Return what the fit makes small: half the squares of standing and of errors."""
        solved = cho_solve(cho_factor(self._rest), self._error)
        return 0.5 * float(self.standing @ self.standing + self._error @ solved)

    def answer(self) -> _Array:
        """Return where the coefficients' features would stand if all were as linear as here."""
        found: _Array = self._coefficient_rows.T @ self._told
        return found

    @property
    def _told(self) -> _Array:
        """What each measured time tells: errors off the base's estimates over their covariance."""
        if self._solver is None:
            return np.zeros(0)
        off_base = self._error + self._coefficient_rows @ self.standing
        told: _Array = cho_solve(self._solver, off_base)
        return told

    def robust_noise(self) -> _Array:
        """Return the noise with that of times added which nothing explains."""
        own = np.array([self._own_variance(item) for item in self.measured])
        least = _squares(self.measured)
        errors = np.sqrt(own + least) * self._told
        counting = np.sqrt(1.0 + (errors / OUTLYING) ** 2)
        added: _Array = least + (own + least) * (counting - 1.0)
        return added

    def _own_variance(self, item: Measured) -> float:
        times = np.array([self.felt(op, item.layer).time_ns for op in item.ops])
        errors = [self._misfit(op)[1] for op in item.ops]
        shares = times / times.sum()
        return float(((shares * errors) ** 2).sum()) * (1.0 - COMMON - OF_A_LAYER)

    def _misfit(self, op: DeviceOp) -> tuple[str, float]:
        work, known = self._learner.work(op)
        return work.family, self._learner.fit_of(work.family).error if known else UNKNOWN_ERROR

    def felt(self, op: DeviceOp, layer: str) -> _Felt:
        """Return an op's time by the coefficients alone, and its features."""
        plain = untimed(op)
        found = self._felt.get((plain, layer))
        if found is None:
            found = self._felt[plain, layer] = self._feel(plain, layer)
        return found

    def _feel(self, op: DeviceOp, layer: str) -> _Felt:
        learner = self._learner
        work, known = learner.work(op)
        family, error = self._misfit(op)
        values = self._values[family]
        cycles = cycles_of(work, values)
        places: list[int] = []
        weights: list[float] = []
        own = 1.0 - OF_A_LAYER
        if known and family in learner.families:
            numbers, rows = self._moved[family]
            slopes = {name: slope for name, slope in slopes_of(work, values).items() if slope}
            chosen = rows[[numbers[name] for name in slopes]]
            found = np.array(list(slopes.values())) @ chosen / cycles
            place = learner.families[family].place
            places += range(place.start, place.stop)
            weights += found.tolist()
            fit = learner.fit_of(family)
            beyond = REACH * reach(work, fit.low, fit.high)
            if beyond:
                places.append(learner.latent(("beyond", family)))
                weights.append(beyond)
            own -= COMMON
        places += [learner.latent(("layer", family, layer)), learner.latent(op)]
        weights += [sqrt(OF_A_LAYER) * error, sqrt(own) * error]
        time_ns = cycles / learner.base.clock_ghz
        return _Felt(time_ns, np.array(places), np.array(weights))

    def estimates(self, asked: Iterable[tuple[Sequence[DeviceOp], str]]) -> Estimates:
        """Return what some ops together take, each on behalf of a layer, and what moves that.

        Features of layers and ops that were measured are at what was learned of them.
        """
        found = self._estimated(asked)
        learned = np.zeros(self._learner.width)
        rows = self._timed.features
        if self.measured:
            latent = rows.T @ self._told
            learned[self._learner.count : len(latent)] = latent[self._learner.count :]
        shift = found.features @ learned[: found.features.shape[1]]
        return Estimates(found.time_ns * np.exp(shift), found.features)

    def _estimated(self, asked: Iterable[tuple[Sequence[DeviceOp], str]]) -> Estimates:
        times, starts = [], [0]
        places: list[NDArray[np.int64]] = []
        weights: list[_Array] = []
        for ops, layer in asked:
            felt = [self.felt(op, layer) for op in ops]
            total = sum(item.time_ns for item in felt)
            times.append(total)
            for item in felt:
                places.append(item.places)
                weights.append(item.weights * (item.time_ns / total))
            starts.append(starts[-1] + sum(len(item.places) for item in felt))
        shape = (len(times), self._learner.width)
        if not places:
            return Estimates(np.array(times), csr_matrix(shape))
        features = csr_matrix(
            (np.concatenate(weights), np.concatenate(places), starts), shape=shape
        )
        features.sum_duplicates()
        return Estimates(np.array(times), features)

    def covariance(self, rows: csr_matrix) -> _Array:
        """Return the covariance of what is still open of linear combinations of features."""
        prior: _Array = (rows @ rows.T).toarray()
        if self._solver is None:
            return prior
        shared = rows[:, : self._timed.features.shape[1]] @ self._timed.features.T
        told: _Array = shared.toarray()
        known: _Array = told @ cho_solve(self._solver, told.T)
        return prior - known

    def draws(self, features: csr_matrix, number: int, seed: int) -> Iterator[_Array]:
        """Yield the factors on estimated times of some draws of what is not known.

        Each is a draw of the prior, corrected by what was measured (Matheron's rule).
        """
        random = np.random.default_rng(seed)
        measured = self._timed.features
        width = measured.shape[1]
        for _ in range(number):
            drawn = random.standard_normal(features.shape[1])
            if self._solver is not None:
                noise = np.sqrt(self._noise) * random.standard_normal(measured.shape[0])
                told = cho_solve(self._solver, measured @ drawn[:width] + noise)
                drawn[:width] -= measured.T @ told
            factors: _Array = np.exp(features @ drawn)
            yield factors

    def model(self, seed: int | None = None, width: float = 1.0) -> CostModel:
        """Return the cost model at these coefficients, or at a draw of what is open of them.

        ``width`` widens the draw.
        """
        standing = self.standing
        if seed is not None:
            standing = standing + width * self._drawn_standing(seed)
        values = self._learner.values_at(standing)
        families = {
            name: replace(fit, values=values[name])
            for name, fit in self._learner.base.families.items()
        }
        return CostModel(replace(self._learner.base, families=families))

    def _drawn_standing(self, seed: int) -> _Array:
        random = np.random.default_rng(seed)
        drawn: _Array = random.standard_normal(self._learner.count)
        if self._solver is None:
            return drawn
        noise = np.linalg.cholesky(self._rest) @ random.standard_normal(len(self._rest))
        told = cho_solve(self._solver, self._coefficient_rows @ drawn + noise)
        found: _Array = drawn - self._coefficient_rows.T @ told
        return found

    def values(self, family: str) -> Mapping[str, float]:
        """Return the coefficients of a family."""
        return self._values[family]

    def works(self) -> dict[str, dict[DeviceOp, Work]]:
        """Return what the measured ops had to do, by family; of those with formulas."""
        found: dict[str, dict[DeviceOp, Work]] = {}
        for item in self.measured:
            for op in item.ops:
                work, known = self._learner.work(op)
                if known and work.family in self._learner.families:
                    found.setdefault(work.family, {})[untimed(op)] = work
        return found

    def open_of(self, family: str) -> tuple[list[str], _Array, _Array]:
        """Return a family's coefficients by name, and their covariance before and after.

        They are on the whole line; what the family's ops have in common is in it.
        """
        own = self._learner.families[family]
        before = own.spread @ own.spread.T
        if self._solver is None:
            return own.names, before, before
        told = own.spread @ self._coefficient_rows[:, own.place].T
        after = before - told @ cho_solve(self._solver, told.T)
        return own.names, before, after

    def error_log(self, item: Measured) -> float:
        """Return log(estimated / measured) of a time, by the coefficients alone."""
        return log(sum(self.felt(op, item.layer).time_ns for op in item.ops) / item.time_ns)
