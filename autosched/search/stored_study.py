"""A study as its database has it: its network, its answers and its joint problem, without a device.

It may be running, or have been stopped before all was probed: then there is no joint problem, but
what was answered is there.
"""

from dataclasses import dataclass

from autosched.boards import Board, find_board
from autosched.budget import UNLIMITED, Budget
from autosched.cost.model import CostModel
from autosched.cost.model_choice import choose_cost_model
from autosched.device.revisions import current_revisions
from autosched.errors import AutoschedError, ScheduleError, SearchError, StudyError, TimeUpError
from autosched.network.graph import Network, network_from_plain
from autosched.probing.execution_judge import load_judge
from autosched.probing.joint_problem import JointProblem
from autosched.probing.lower_bound import Proof, prove
from autosched.probing.problem_builder import build_problem
from autosched.probing.stored_answers import NOT_ASKED, Asked, StoredBook
from autosched.schedule.schedule import Schedule
from autosched.search.open_study import network_of_file
from autosched.search.settings import Settings
from autosched.space.efforts import FIRST_LOOK, Effort
from autosched.space.layer_formats import default_schedule
from autosched.store.calibrations import known_times
from autosched.store.database import Store
from autosched.store.purging import find_quarantined
from autosched.store.studies import StudyRecord, find_network, list_studies
from autosched.store.trials import GIVEN_SAMPLER, cost_models, list_trials

_SILICON = "silicon"


@dataclass(frozen=True)
class StoredStudy:
    """What a database knows of a study.

    ``book`` has what was asked; where a card measures, ``measured`` what it was asked, and ``book``
    the mock device's. ``joint`` is None as long as not everything is probed, and
    ``unprobed`` says then what lacks.
    """

    record: StudyRecord
    settings: Settings
    network: Network
    board: Board
    cost: CostModel
    book: StoredBook
    measured: StoredBook | None
    joint: JointProblem | None
    unprobed: str = ""

    def asked(self, layer: str) -> tuple[Asked, ...]:
        """Return the candidates that were asked of layers like one, measured where they were."""
        signature = self.network.layer_signature(self.network.by_name[layer])
        found = {item.request: item for item in self.book.asked(signature)}
        if self.measured is not None:
            found.update((item.request, item) for item in self.measured.asked(signature))
        return tuple(found.values())

    def proof(self, limit_s: float) -> Proof | None:
        """Return the lower bound of all that was probed; None where formats are chosen, too."""
        if self.joint is None or self.settings.search_formats:
            return None
        try:
            return prove(self.joint, limit_s, Budget.of(2 * limit_s))
        except (SearchError, TimeUpError):
            return None


def network_of_study(store: Store, record: StudyRecord) -> Network:
    """Return a study's network: as the database has it, else from the study's file.

    Raises:
        StudyError: if the database does not have it, and the file is gone or another one now.
        StoreError: if the database refuses.
    """
    plain = find_network(store, record.network_signature)
    if plain is not None:
        try:
            network = network_from_plain(plain)
        except ScheduleError:
            network = None
        if network is not None and network.signature == record.network_signature:
            return network
    try:
        network = network_of_file(record, Settings.from_plain(record.settings))
    except AutoschedError as error:
        raise StudyError(f"{_not_kept(record)} ({error})") from error
    if network.signature != record.network_signature:
        raise StudyError(f"{_not_kept(record)} (its file has another network now)")
    return network


def layers_by_signature(store: Store) -> dict[str, list[str]]:
    """Return the layers of all networks that a database keeps, as "network: layer", by signature.

    Raises:
        StoreError: if the database refuses.
    """
    found: dict[str, list[str]] = {}
    signatures = {item.study.network_signature for item in list_studies(store)}
    for signature in sorted(signatures):
        plain = find_network(store, signature)
        if plain is None:
            continue
        try:
            network = network_from_plain(plain)
        except ScheduleError:
            continue
        for layer in network:
            name = f"{network.name}: {layer.name}"
            found.setdefault(network.layer_signature(layer), []).append(name)
    return found


def quarantined_of(store: Store, record: StudyRecord) -> int:
    """Return how many configurations of a study's layers are in quarantine on its device.

    Raises:
        StoreError: if the database refuses.
    """
    held = [
        item.layer_signature
        for item in find_quarantined(store, record.board)
        if item.device == record.device
    ]
    plain = find_network(store, record.network_signature) if held else None
    if plain is None:
        return 0
    network = network_from_plain(plain)
    own = {network.layer_signature(layer) for layer in network}
    return sum(signature in own for signature in held)


def _not_kept(record: StudyRecord) -> str:
    return (
        f"study {record.name!r} is of a version that did not keep the layers of its network, and "
        f"these cannot be had anew; autosched resume {record.name} with --net NET.PY keeps them"
    )


def read_study(store: Store, record: StudyRecord, budget: Budget = UNLIMITED) -> StoredStudy:
    """Return all that a database knows of a study.

    Raises:
        StudyError: as :func:`network_of_study`, or if its settings are another version's.
        StoreError: if the database refuses.
    """
    settings = Settings.from_plain(record.settings)
    network = network_of_study(store, record)
    board = find_board(record.board)
    versions = cost_models(store, record)
    before = versions[-1] if versions else ""
    cost = choose_cost_model(store, board.arch, record.ttnn_version, before).model
    judge = load_judge(
        store,
        network,
        board.arch,
        record.ttnn_version,
        uses_rules=not settings.allow_known_faults,
    )
    book, measured = StoredBook(store, board, record.device, cost, judge), None
    if record.device_kind == _SILICON:
        measured = book
        measured.timed = known_times(store, record.device, current_revisions())
        book = StoredBook(store, board, record.scout, cost, judge)
    given = [
        trial.schedule
        for trial in list_trials(store, record, sampler=GIVEN_SAMPLER)
        if trial.schedule is not None
    ]
    default = default_schedule(network, record.board, record.ttnn_version, settings.formats)
    found = StoredStudy(record, settings, network, board, cost, book, measured, None)
    joint, unprobed = _joint_problem(found, [default, *given], budget)
    return StoredStudy(record, settings, network, board, cost, book, measured, joint, unprobed)


def _joint_problem(
    study: StoredStudy, known: list[Schedule], budget: Budget
) -> tuple[JointProblem | None, str]:
    """Return the problem of all candidates, else that of the first look; or why there is none."""
    try:
        return _built(study, study.settings.effort, known, budget), ""
    except (SearchError, TimeUpError) as error:
        unprobed = str(error) or "the time was up"
    if NOT_ASKED.message in study.book.counts.unclassified:
        unprobed = "not all that the search asks is asked yet"
        if stale := study.book.counts.stale:
            unprobed += f", or its answers, of which {stale:,} are stored, are of another version"
    try:
        return _built(study, FIRST_LOOK, known, budget), ""
    except (SearchError, TimeUpError):
        return None, unprobed


def _built(
    study: StoredStudy, effort: Effort, known: list[Schedule], budget: Budget
) -> JointProblem:
    return build_problem(
        study.network,
        study.settings.formats,
        study.board,
        effort,
        study.book,
        study.measured,
        known=() if effort is FIRST_LOOK else known,
        rules=study.settings.restrictions,
        in_all_formats=study.settings.search_formats and effort is not FIRST_LOOK,
        progress=lambda *_: None,
        budget=budget,
    )
