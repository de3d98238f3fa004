"""How exact a schedule is: emulated on the host, on inputs that nothing was fitted to.

A study with a floor (``--min-pcc``, ``--min-metric``) has each schedule that ran emulated; one
whose outputs are below it is a trial rejected for its accuracy, and never the best.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from threading import Event

import torch

from autosched.errors import SearchError
from autosched.network.graph import Network
from autosched.network.operators import Input, Output
from autosched.network.reference import evaluate_network
from autosched.numerics.comparison import agreement, unseen_inputs
from autosched.numerics.emulation import emulate_batches
from autosched.schedule.outcomes import Rejection, RejectionKind, Verdict
from autosched.schedule.schedule import Schedule
from autosched.store.executions import ExecutionRecord, Verification, emulation_record
from autosched.store.trials import TrialRecord

Outputs = Mapping[str, torch.Tensor]

# Of a figure whose best is infinite, or the floor itself, nobody knows how near it is.
_WELL_ABOVE, _WELL_BELOW = 0.5, 2.0
# What is begun with where only a metric is asked for.
_TYPICAL = 0.99


@dataclass
class _Ahead:
    """An emulation that was begun before anyone asks for it."""

    fingerprint: str
    result: "Future[ExecutionRecord]"
    is_over: Event


class AccuracyJudge:
    """Emulates schedules of one network, and compares their outputs with PyTorch's.

    ``min_pcc`` is asked of each output, ``min_metric`` of the network's own figure; either may be
    None. It judges on the network's held-out batches; where there are none, on variants of its
    samples.

    Raises:
        SearchError: if the network has no samples or no figure of its own, or an output of its own
            is not finite.
        NetworkFileError: if the user's figure raises, or is NaN.
    """

    def __init__(
        self, network: Network, columns: int, min_pcc: float | None, min_metric: float | None = None
    ) -> None:
        self._network = network
        self._columns = columns
        self._min_pcc, self._min_metric = min_pcc, min_metric
        inputs = [layer for layer in network if isinstance(layer.op, Input)]
        if len(network.samples) != len(inputs):
            raise SearchError(
                f"{network.name} comes without inputs, so that no accuracy can be asked of it; "
                "capture it, or set the samples of the network"
            )
        if min_metric is not None and network.metric is None:
            raise SearchError(
                f"--min-metric asks for a figure of one's own: define metric(outputs, reference) "
                f"in the file of {network.name}"
            )
        self._inputs = list(network.held_out) or unseen_inputs(network.samples)
        self._names = [layer.name for layer in network if isinstance(layer.op, Output)]
        self._truths: list[Outputs] = [
            dict(zip(self._names, evaluate_network(network, inputs), strict=True))
            for inputs in self._inputs
        ]
        for truths in self._truths:
            for name, values in truths.items():
                if values.is_floating_point() and not values.isfinite().all():
                    raise SearchError(
                        f"output {name} of {network.name} is not finite in PyTorch itself, so that "
                        "no accuracy can be asked of it; see what its inputs are"
                    )
        self._ahead: _Ahead | None = None
        self._best_metric = self._metric(self._truths)
        best = self._best_metric
        if min_metric is not None and best is not None and min_metric > best:
            raise SearchError(
                f"--min-metric {min_metric:g}: PyTorch's own outputs have {best:g}, and nothing "
                "has more"
            )

    @property
    def allowed(self) -> float:
        """What an output's PCC may lack of 1, as far as anything is asked of it."""
        return 1.0 - (_TYPICAL if self._min_pcc is None else self._min_pcc)

    @property
    def floors(self) -> str:
        """What is asked for, in words."""
        pcc = "" if self._min_pcc is None else f"a PCC of {self._min_pcc:g}"
        metric = "" if self._min_metric is None else f"a metric of {self._min_metric:g}"
        return " and ".join(filter(None, (pcc, metric)))

    @contextmanager
    def ahead(self, schedule: Schedule) -> Iterator[None]:
        """Emulate a schedule beside what is done in the block, for :meth:`judged` after it.

        If the block raises, or another schedule is judged, the emulation is given up.
        """
        self._give_up()
        is_over = Event()
        thread = ThreadPoolExecutor(1)
        result = thread.submit(self._emulation, schedule, is_over)
        thread.shutdown(wait=False)
        self._ahead = _Ahead(schedule.fingerprint(), result, is_over)
        try:
            yield
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        if self._ahead is not None:
            self._ahead.is_over.set()
            # One that begins beside it would find PyTorch with one thread.
            wait([self._ahead.result])
            self._ahead = None

    def emulation(self, schedule: Schedule) -> ExecutionRecord:
        """Return what a schedule's outputs come to: the lowest PCC, and the figure of all batches.

        Once an output is below the floor, other batches say no more.
        """
        try:
            if self._ahead is not None and self._ahead.fingerprint == schedule.fingerprint():
                return self._ahead.result.result()
        finally:
            self._give_up()
        return self._emulation(schedule, Event())

    def _emulation(self, schedule: Schedule, is_over: Event) -> ExecutionRecord:
        pcc = concordance = 1.0
        batches: list[Outputs] = []
        emulated = emulate_batches(self._network, schedule, self._inputs, self._columns, is_over)
        with closing(emulated):
            for made, truths in zip(emulated, self._truths, strict=True):
                batches.append(made)
                for name, values in made.items():
                    found = agreement(values, truths[name])
                    pcc, concordance = min(pcc, found.pcc), min(concordance, found.concordance)
                if self._min_pcc is not None and pcc < self._min_pcc:
                    return ExecutionRecord(Verdict.IMPRECISE, pcc, concordance)
        metric = self._metric(batches)
        is_right = self._min_metric is None or metric is None or metric >= self._min_metric
        verdict = Verdict.RIGHT if is_right else Verdict.IMPRECISE
        return ExecutionRecord(verdict, pcc, concordance, metric=metric)

    def _metric(self, batches: Sequence[Outputs]) -> float | None:
        """Return the user's figure of all batches one after the other, None where there is none."""
        if self._network.metric is None:
            return None
        return self._network.metric(self._joined(batches), self._joined(self._truths))

    def _joined(self, batches: Sequence[Outputs]) -> torch.Tensor | tuple[torch.Tensor, ...]:
        joined = tuple(
            torch.cat([batch[name] for batch in batches])
            if batches[0][name].dim()
            else torch.stack([batch[name] for batch in batches])
            for name in self._names
        )
        return joined if len(joined) > 1 else joined[0]

    def share(self, found: ExecutionRecord) -> float:
        """Return how much is lost of what the floors allow: over 1, a schedule is not exact enough.

        Of a figure with an infinite best, such as a ratio of signal to noise, only on which side of
        the floor it lies.
        """
        shares = [0.0]
        if self._min_pcc is not None and found.pcc is not None:
            shares.append((1.0 - found.pcc) / self.allowed)
        best, floor = self._best_metric, self._min_metric
        if floor is not None and found.metric is not None and best is not None:
            if math.isfinite(best) and best > floor:
                shares.append((best - found.metric) / (best - floor))
            else:
                shares.append(_WELL_ABOVE if found.metric >= floor else _WELL_BELOW)
        return max(shares)

    def judged(self, trial: TrialRecord) -> tuple[TrialRecord, Verification | None]:
        """Return a trial, rejected if it is below a floor, and what its emulation came to."""
        if trial.rejection is not None or trial.schedule is None:
            self._give_up()
            return trial, None
        found = self.emulation(trial.schedule)
        verification = emulation_record(trial.schedule.fingerprint(), found)
        if found.verdict is Verdict.RIGHT:
            return trial, verification
        metric = "" if found.metric is None else f" and metric {found.metric:.4g}"
        message = f"PCC {found.pcc:.4f}{metric}, emulated; the study asks for {self.floors}"
        return replace(trial, rejection=Rejection(RejectionKind.ACCURACY, message)), verification
