"""What all methods of a comparison share: one network on one device, with its probes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from autosched.cost.model_choice import choose_cost_model
from autosched.device.interface import Device
from autosched.device.machine import firmware_of, ttnn_version
from autosched.network.graph import Network
from autosched.probing.execution_judge import load_judge
from autosched.probing.joint_problem import JointProblem
from autosched.probing.lower_bound import Proof, prove
from autosched.probing.probe_book import Phase, ProbeBook, ProbeCounts
from autosched.probing.problem_builder import build_problem
from autosched.schedule.outcomes import TimeKind
from autosched.schedule.schedule import Provenance, Schedule
from autosched.search.settings import Settings
from autosched.search.trial import run_repaired, run_trial
from autosched.space.layer_formats import LayerFormats, default_schedule
from autosched.store.database import Store
from autosched.store.probes import DeviceKey
from autosched.store.trials import TrialRecord

CountedProgress = Callable[[Phase, int, int, str, ProbeCounts], None]
"""Called as :meth:`autosched.search.run.Observer.on_phase`."""
_SOLVE_LIMIT_S = 60.0


@dataclass(frozen=True)
class TimedTrial:
    """A trial and the seconds it took, repairs included."""

    record: TrialRecord
    seconds: float


class Bench:
    """A network on a device, probed once; it runs schedules and stores none of the trials.

    What ttnn's default and the ``known`` schedules chose is among the candidates. Beside a card,
    ``scout`` is the mock device that ranks the candidates before the card measures the best of
    them, as in a study.
    On the mock device equal schedules give equal answers: each runs once, and later requests
    return that answer with the seconds it took then.
    """

    def __init__(
        self,
        network: Network,
        device: Device,
        store: Store,
        settings: Settings,
        scout: Device | None = None,
        known: Sequence[Schedule] = (),
    ) -> None:
        self.network = network
        self.settings = settings
        self.known = known
        self.board = device.board
        self.formats = LayerFormats(network, settings.formats)
        self.cost = choose_cost_model(store, self.board.arch, ttnn_version()).model
        self.probing_s = 0.0
        self._device = device
        self._device.load(network)
        self._judge = load_judge(
            store,
            network,
            self.board.arch,
            ttnn_version(),
            uses_rules=not settings.allow_known_faults,
        )
        self._measured = None if scout is None else self._book_of(store, device)
        self.book = self._book_of(store, scout or device)
        self._joint: JointProblem | None = None
        self._known: dict[str, TimedTrial] = {}

    def _book_of(self, store: Store, device: Device) -> ProbeBook:
        firmware = firmware_of(device.kind, device)
        key = DeviceKey(self.board.name, device.kind, ttnn_version(), firmware)
        return ProbeBook(store, device, key, self.cost, self._judge)

    @property
    def provenance(self) -> Provenance:
        """Where this bench's schedules come from."""
        network = self.network
        return Provenance(
            network.name,
            network.signature,
            self.board.name,
            ttnn_version(),
            network.batch,
            self.board.grid,
            network.packing.images,
        )

    @property
    def default_schedule(self) -> Schedule:
        """What ttnn does when nobody chooses."""
        given = self.provenance
        return default_schedule(
            self.network, given.board, given.ttnn_version, self.settings.formats
        )

    def prepare(self, progress: CountedProgress) -> JointProblem:
        """Probe what is not known yet, and return the joint problem.

        Raises:
            SearchError: if a layer has no candidate that the device accepts.
        """
        if self._joint is None:
            begin = time.perf_counter()
            self._joint = self._probed(progress)
            self.probing_s = time.perf_counter() - begin
        return self._joint

    @property
    def prepared(self) -> JointProblem:
        """The joint problem; :meth:`prepare` has made it."""
        assert self._joint is not None  # noqa: S101 - a comparison prepares first
        return self._joint

    def _probed(self, progress: CountedProgress) -> JointProblem:
        def report(phase: Phase, done: int, total: int, detail: str) -> None:
            progress(phase, done, total, detail, self.book.counts)

        return build_problem(
            self.network,
            self.settings.formats,
            self.board,
            self.settings.effort,
            self.book,
            self._measured,
            known=[self.default_schedule, *self.known],
            progress=report,
        )

    @cached_property
    def proof(self) -> Proof:
        """The proven lower bound of the probed tables."""
        return prove(self.prepared, _SOLVE_LIMIT_S)

    def run(self, schedule: Schedule, method: str, joint: JointProblem | None = None) -> TimedTrial:
        """Run a schedule; given the ``joint`` problem it is of, repaired where L1 is fragmented."""
        key = f"{schedule.fingerprint()} {joint is not None}"
        known = self._known.get(key)
        if known is not None:
            return replace(known, record=replace(known.record, sampler=method))
        begin = time.perf_counter()
        if joint is None:
            record = run_trial(self._device, self.book, schedule, method)
        else:
            record = run_repaired(self._device, self.book, joint, schedule, method)
        timed = TimedTrial(record, time.perf_counter() - begin)
        if record.latency_kind is not TimeKind.MEASURED:
            self._known[key] = timed
        return timed
