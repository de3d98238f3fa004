"""A study: the search for the best schedule of one network on one device, kept in a database."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import TracebackType

import optuna
from optuna.trial import TrialState, create_trial

from autosched.boards import Board, find_board
from autosched.cost.model_choice import ChosenModel, choose_cost_model
from autosched.device.interface import Device
from autosched.device.pool import open_pool
from autosched.errors import SearchError, StudyError
from autosched.network.graph import Network
from autosched.probing.joint_problem import JointProblem
from autosched.probing.layer_tables import TableBuilder
from autosched.probing.lower_bound import Proof, prove, widened
from autosched.probing.probe_book import TRANSIENT, ProbeBook, ProbeCounts
from autosched.probing.problem_builder import ordered_problem
from autosched.probing.restrictions import Restriction, restrictions
from autosched.schedule.schedule import Provenance, Schedule
from autosched.search.loop import Observer, SilentObserver
from autosched.search.samplers.optuna_trials import (
    LAYER_TIMES,
    REJECTION,
    from_parameters,
    search_space,
    tell,
    times_by_layer,
    to_parameters,
)
from autosched.search.samplers.registry import make_sampler
from autosched.search.settings import Settings
from autosched.search.time_limit import TimeLimited, TimeUpError
from autosched.search.trial import run_repaired, run_trial
from autosched.space.defaults import default_schedule
from autosched.space.efforts import FIRST_LOOK, QUICK, Effort, find_effort
from autosched.space.formats import LayerFormats
from autosched.store.database import Store
from autosched.store.optuna_mirror import OptunaMirror
from autosched.store.probes import DeviceKey
from autosched.store.studies import StudyRecord
from autosched.store.trials import (
    DEFAULT_SAMPLER,
    GIVEN_SAMPLER,
    TrialRecord,
    add_trial,
    best_of,
    list_trials,
    with_provenance,
)

_JOINT = "joint"
_PROOF_LIMIT_S = 20.0
_NEW_NAME = "Give a new search a name of its own with --study NAME; it reuses the probes"


class Study:
    """Searches the best schedule of a network; every finished trial and probe is stored at once.

    Use it as a context manager, or call :meth:`close`: it owns a worker process.
    """

    def __init__(
        self,
        store: Store,
        record: StudyRecord,
        network: Network,
        settings: Settings,
        device: Device | None = None,
        *,
        jobs: int | None = None,
    ) -> None:
        self._closing = ExitStack()
        self.record = record
        self.network = network
        self.settings = settings
        self.board: Board = find_board(record.board)
        before = _estimated_with(store, record)
        self.cost_choice = choose_cost_model(store, self.board.arch, record.ttnn_version, before)
        _check_comparable(record, before, self.cost_choice)
        self.cost = self.cost_choice.model
        self.proof: Proof | None = None
        self._restrictions = restrictions(settings.pinned, settings.forbidden)
        self._store = store
        self._device = device or open_pool(self.board, settings.device, settings.timing, jobs)
        self._device.load(network)
        self._book = self._book_of(self._device)
        self._measured: ProbeBook | None = None
        self._scout: Device | None = None
        if self._device.kind == "silicon":
            # The mock device ranks the candidates, the card measures the best of them.
            self._measured = self._book
            self._scout = open_pool(self.board, jobs=jobs)
            self._book = self._book_of(self._scout)
        self._joint: JointProblem | None = None

    def _book_of(self, device: Device) -> ProbeBook:
        key = DeviceKey(self.record.board, device.kind, self.record.ttnn_version)
        return ProbeBook(self._store, device, key, self.cost)

    @property
    def name(self) -> str:
        """The study's name in its database."""
        return self.record.name

    @property
    def probe_counts(self) -> ProbeCounts:
        """How many probes this process ran and reused, and what was rejected."""
        return self._book.counts

    @property
    def bound_us(self) -> float | None:
        """The proven lower bound of the probed choices, None as long as not all are probed."""
        return None if self.proof is None else self.proof.bound_us

    @property
    def trials(self) -> list[TrialRecord]:
        """All finished trials by number, without their device ops."""
        return list_trials(self._store, self.record)

    @property
    def best(self) -> TrialRecord | None:
        """The fastest trial, with its device ops; its schedule carries the full provenance."""
        found = best_of(self._store, self.record)
        return None if found is None else with_provenance(found, self.record)

    def close(self) -> None:
        """End the worker process, then do what :meth:`on_close` was given."""
        self._device.close()
        if self._scout is not None:
            self._scout.close()
        self._closing.close()

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have something done after the worker process has ended."""
        self._closing.callback(callback)

    def __enter__(self) -> "Study":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def optimize(
        self,
        trials: int | None = None,
        timeout_s: float | None = None,
        observer: Observer | None = None,
        start: Schedule | None = None,
    ) -> TrialRecord | None:
        """Run up to ``trials`` trials (default: the effort's) or until ``timeout_s`` have passed.

        ttnn's default schedule is the first trial of a new study, and counts as one. A schedule to
        ``start`` from is the next one, and what it chose joins the candidates for good. Without
        ``trials`` the search also ends when a trial reaches the proven lower bound of the probed
        tables. Interrupted at any moment, it has stored every finished trial and probe.

        Raises:
            SearchError: if a layer has no candidate, or no schedule fits.
        """
        watch: Observer = observer or SilentObserver()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if deadline is not None:
            watch = TimeLimited(watch, deadline)
        with OptunaMirror(self._store.url, self.name) as mirror, suppress(TimeUpError):
            mirror.catch_up(self.trials)
            limit = self._effort.trials if trials is None else trials
            if self._run_default(mirror, watch):
                limit -= 1
            if start is not None and self._run_given(start, mirror, watch):
                limit -= 1
            limit -= self._first_look(limit, mirror, watch)
            self._search(limit, trials is None, deadline, mirror, watch)
        return self.best

    def prepare(self, observer: Observer | None = None) -> JointProblem:
        """Probe the layers and reshards of the network and return the joint problem."""
        if self._joint is None:
            self._joint = self._probe(observer or SilentObserver(), self._effort)
        return self._joint

    def run(self, schedule: Schedule, sampler: str) -> TrialRecord:
        """Run one schedule as a trial of this study, and store it."""
        record = run_trial(self._device, self._book, schedule, sampler)
        return add_trial(self._store, self.record, record)

    def _probe(
        self, watch: Observer, effort: Effort, rules: Sequence[Restriction] | None = None
    ) -> JointProblem:
        network, book = self.network, self._book
        formats = LayerFormats(network, self.settings.formats)
        builder = TableBuilder(
            network,
            formats,
            self.board,
            effort,
            book,
            self._measured,
            known=() if effort is FIRST_LOOK else [self._default_schedule(), *self._given()],
            rules=self._restrictions if rules is None else rules,
        )
        tables = builder.build(
            lambda layer, done, total: watch.on_probing(layer.name, done, total, book.counts)
        )
        ordered = ordered_problem(
            network,
            tables,
            self.board,
            book,
            lambda layer, done, total: watch.on_probing(layer.name, done, total, book.counts),
        )
        if effort is FIRST_LOOK:
            return ordered
        return widened(
            ordered,
            book,
            lambda layer, done, total: watch.on_probing(layer.name, done, total, book.counts),
            builder.timed,
        )

    def _run_default(self, mirror: OptunaMirror, watch: Observer) -> bool:
        """Run ttnn's default schedule if the study has no such trial; return whether it ran.

        One that hung or crashed is tried again when the study goes on.
        """
        if any(
            trial.sampler == DEFAULT_SAMPLER
            and (trial.rejection is None or trial.rejection.kind not in TRANSIENT)
            for trial in self.trials
        ):
            return False
        self._finish(self.run(self._default_schedule(), DEFAULT_SAMPLER), mirror, watch)
        return True

    def _default_schedule(self) -> Schedule:
        return default_schedule(
            self.network, self.board.name, self.record.ttnn_version, self.settings.formats
        )

    def _run_given(self, schedule: Schedule, mirror: OptunaMirror, watch: Observer) -> bool:
        """Run a schedule to start from, unless the study has such a trial; return whether it ran.

        The device may reject it: what it accepts of its layers is still worth a try.
        """
        fingerprint = schedule.fingerprint()
        if any(given.fingerprint() == fingerprint for given in self._given()):
            return False
        self._joint = None
        own = replace(schedule, provenance=self._provenance())
        self._finish(self.run(own, GIVEN_SAMPLER), mirror, watch)
        return True

    def _given(self) -> list[Schedule]:
        """Return the schedules the study was given to start from."""
        return [
            trial.schedule
            for trial in self.trials
            if trial.sampler == GIVEN_SAMPLER and trial.schedule is not None
        ]

    def _first_look(self, limit: int, mirror: OptunaMirror, watch: Observer) -> int:
        """Run the best of a few candidates a layer; return how many trials that took.

        A new study soon has a good schedule then, also if its time is up before all is probed.
        """
        begun = any(trial.sampler != DEFAULT_SAMPLER for trial in self.trials)
        if begun or limit < 2 or self._effort.name == QUICK:
            return 0  # at effort quick, a first look is most of the search
        if self._book.has_stored(self.network.layer_signature(layer) for layer in self.network):
            return 0  # what is stored is read as a whole soon enough
        try:
            joint = self._probe(watch, FIRST_LOOK)
            study = self._optuna_study(joint, _JOINT)
            self._run_asked(study, joint, _JOINT, mirror, watch)
        except SearchError:
            return 0  # with all candidates, the network may fit after all
        return 1

    def _search(
        self,
        limit: int,
        stops_at_bound: bool,
        deadline: float | None,
        mirror: OptunaMirror,
        watch: Observer,
    ) -> None:
        joint = self.prepare(watch)
        self.proof = self._proven(joint)
        watch.on_bound(self.proof)
        study = self._optuna_study(joint, self._sampler)
        for _ in range(limit):
            if deadline is not None and time.monotonic() > deadline:
                return
            if stops_at_bound and self._reached(self.proof):
                return
            self._run_asked(study, joint, self._sampler, mirror, watch)

    def _proven(self, joint: JointProblem) -> Proof:
        """Prove the lower bound; where nothing fits, say which restriction is to blame."""
        try:
            return prove(joint, _PROOF_LIMIT_S)
        except SearchError as error:
            reason = error
        helpful = [str(rule) for rule in self._restrictions if self._fits_without(rule)]
        if not helpful:
            raise reason
        raise SearchError(f"{reason}. It becomes feasible without {' or without '.join(helpful)}")

    def _fits_without(self, rule: Restriction) -> bool:
        others = [item for item in self._restrictions if item is not rule]
        try:
            prove(self._probe(SilentObserver(), self._effort, others), _PROOF_LIMIT_S)
        except SearchError:
            return False
        return True

    def _run_asked(
        self,
        study: optuna.Study,
        joint: JointProblem,
        sampler: str,
        mirror: OptunaMirror,
        watch: Observer,
    ) -> None:
        """Run what the sampler proposes, store it, and tell the sampler."""
        asked = study.ask(search_space(joint))
        schedule = joint.schedule(from_parameters(joint, asked.params), self._provenance())
        record = run_repaired(self._device, self._book, joint, schedule, sampler)
        stored = add_trial(self._store, self.record, record)
        tell(study, asked, stored)
        self._finish(stored, mirror, watch)

    def _finish(self, record: TrialRecord, mirror: OptunaMirror, watch: Observer) -> None:
        mirror.add(record)
        watch.on_trial(record, best_of(self._store, self.record))

    def _reached(self, proof: Proof) -> bool:
        best = best_of(self._store, self.record)
        return best is not None and proof.is_reached(best.latency_us)

    def _optuna_study(self, joint: JointProblem, sampler_name: str) -> optuna.Study:
        """Return a study in memory that has seen every stored trial of these tables.

        Optuna's own database storage takes 0.3 to 1 s a trial at hundreds of parameters.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = make_sampler(sampler_name, joint, self.settings.seed + len(self.trials))
        study = optuna.create_study(sampler=sampler, direction="minimize")
        space = search_space(joint)
        for record in list_trials(self._store, self.record, with_ops=True):
            assert record.schedule is not None  # noqa: S101 - listed with schedules
            selection = joint.find(record.schedule)
            if selection is None:
                continue
            rejected = record.rejection
            study.add_trial(
                create_trial(
                    state=TrialState.COMPLETE if rejected is None else TrialState.PRUNED,
                    value=record.latency_us if rejected is None else None,
                    params=to_parameters(joint, selection),
                    distributions=space,
                    user_attrs={LAYER_TIMES: times_by_layer(record.ops)}
                    if rejected is None
                    else {REJECTION: [rejected.kind.value, rejected.layer]},
                )
            )
        return study

    def _provenance(self) -> Provenance:
        return Provenance(
            network=self.record.network,
            network_signature=self.record.network_signature,
            board=self.record.board,
            ttnn_version=self.record.ttnn_version,
            batch=self.record.batch,
            study=self.name,
        )

    @property
    def _effort(self) -> Effort:
        return find_effort(self.settings.effort)

    @property
    def _sampler(self) -> str:
        return self.settings.sampler


def _estimated_with(store: Store, record: StudyRecord) -> str:
    """Return the version of the cost model of a study's trials, "" if it estimated none.

    Raises:
        StudyError: if they are of several: their times do not compare.
    """
    trials = list_trials(store, record, with_schedules=False)
    versions = list(dict.fromkeys(trial.cost_model for trial in trials if trial.cost_model))
    if len(versions) > 1:
        raise StudyError(
            f"the trials of study {record.name!r} were estimated by several cost models "
            f"({', '.join(versions)}), whose times do not compare. {_NEW_NAME}"
        )
    return versions[0] if versions else ""


def _check_comparable(record: StudyRecord, before: str, chosen: ChosenModel) -> None:
    """Raise StudyError if new estimates would be set beside those of another cost model."""
    if before not in ("", chosen.model.version):
        raise StudyError(
            f"the trials of study {record.name!r} were estimated by cost model {before}, which is "
            f"neither in its database nor shipped any more; times by {chosen.model.version} do not "
            f"compare with them. {_NEW_NAME}"
        )
