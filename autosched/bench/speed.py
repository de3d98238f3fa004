"""How long the main job takes, from a network file to its exported schedule, and its memory."""

import os
import resource
import statistics
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autosched.bench.bench import Bench
from autosched.boards import find_board
from autosched.cost.model import CostModel
from autosched.device.machine import open_local_device
from autosched.device.pool import default_jobs, open_pool
from autosched.export.saving import save_schedule
from autosched.network.graph import Network
from autosched.network.operators import Input
from autosched.probing.joint_problem import JointProblem
from autosched.schedule.schedule import Schedule
from autosched.search.open_study import create_study
from autosched.search.samplers.joint_sampler import JointSampler
from autosched.search.settings import Settings
from autosched.search.study import Study
from autosched.solver.solver import solve
from autosched.store.database import open_store
from autosched.store.trials import TrialRecord, add_trial

_EVERY_S = 0.2
_END_S = 5.0
_PROC = Path("/proc")
# Of /proc/PID/stat, counted after the process's name, which may hold spaces.
_PARENT, _RSS_PAGES = 1, 21


@dataclass
class PeakMemory:
    """The most that a process and its descendants held together, in bytes, as far as seen.

    Pages that several of them share are counted in each. 0 where there is no ``/proc``.
    """

    rss_bytes: int = 0


@contextmanager
def watched_memory() -> Iterator[PeakMemory]:
    """Look at the memory of this process and its descendants while the body runs."""
    peak = PeakMemory()
    over = threading.Event()

    def watch() -> None:
        while True:
            peak.rss_bytes = max(peak.rss_bytes, sum(family(os.getpid()).values()))
            if over.wait(_EVERY_S):
                return

    watcher = threading.Thread(target=watch, daemon=True, name="memory")
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join(_END_S)


def family(pid: int) -> dict[int, int]:
    """Return the resident bytes of a process and of all its descendants, by process id."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for entry in _PROC.glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(entry.name)] = int(fields[_PARENT])
        sizes[int(entry.name)] = int(fields[_RSS_PAGES]) * os.sysconf("SC_PAGE_SIZE")
    return {one: size for one, size in sizes.items() if _descends(one, pid, parents)}


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid != ancestor:
        if pid not in parents:
            return False
        pid = parents[pid]
    return True


_TIMED_REPEATS = 20
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Speed:
    """Times of one network, batch and board, with all libraries loaded.

    ``empty_s`` is from capture to export with nothing stored and ``jobs`` workers, in ``trials``
    trials, ``one_job_s`` the same with one; ``filled_s`` again with every probe stored.
    ``parent_rss_bytes`` and ``worker_rss_bytes`` are the peaks of this process and of the largest
    worker, ``total_rss_bytes`` that of all together (pages they share are counted in each).
    ``proposal_ms`` (the joint sampler's), ``add_trial_ms``, ``predict_ms`` (the device ops of one
    forward pass, not seen before) and ``parse_ms`` (its captured graph) are medians. None where
    there was nothing to time.
    """

    network: str
    board: str
    batch: int
    jobs: int
    empty_s: float
    one_job_s: float
    filled_s: float
    trials: int
    parent_rss_bytes: int
    worker_rss_bytes: int
    total_rss_bytes: int
    proposal_ms: float
    add_trial_ms: float | None
    predict_ms: float | None
    parse_ms: float | None

    def to_plain(self) -> dict[str, Any]:
        """Return the times as JSON types."""
        return asdict(self)


def measure_speed(
    capture: Callable[[], Network],
    board: str,
    settings: Settings,
    trials: int | None = None,
    jobs: int | None = None,
) -> Speed:
    """Run the main job in databases of its own, then time its parts.

    ``capture`` reads the network file anew; ``trials`` None searches as ``autosched run`` does,
    which stops at the proven bound, ``jobs`` None stands for one worker a core. Takes as long as
    three searches. With one job, ``one_job_s`` is ``empty_s``.

    Raises:
        AutoschedError: whatever the search raises.
    """
    with tempfile.TemporaryDirectory(prefix="autosched-speed-") as directory:
        place = Path(directory)
        jobs = default_jobs() if jobs is None else jobs
        network = capture()  # loads PyTorch, which only the first of the jobs would pay for
        with watched_memory() as together:
            empty_s, ran = _job(capture, board, settings, trials, _Place(place, "empty", jobs))
        # Before the parts: they load ttnn into this process.
        parent = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT
        worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _RSS_UNIT
        filled_s, _ = _job(capture, board, settings, trials, _Place(place, "filled", jobs))
        one_job_s = empty_s
        if jobs > 1:
            (alone := place / "alone").mkdir()
            one_job_s, _ = _job(capture, board, settings, trials, _Place(alone, "empty", 1))
        # As the jobs searched it: of other settings, it would be probed and refused anew.
        again = create_study(
            network, board, storage=_url(place), name="filled", settings=settings, jobs=jobs
        )
        with again as study:
            proposal_ms = statistics.median(proposals_ms(study.prepare()))
            best = study.best
            add_trial_ms = None if best is None else _add_trial_ms(study, best, _url(place))
        return Speed(
            network=network.name,
            board=board,
            batch=network.batch,
            jobs=jobs,
            empty_s=empty_s,
            one_job_s=one_job_s,
            filled_s=filled_s,
            trials=ran,
            parent_rss_bytes=parent,
            worker_rss_bytes=worker,
            total_rss_bytes=together.rss_bytes,
            proposal_ms=proposal_ms,
            add_trial_ms=add_trial_ms,
            predict_ms=None if best is None else _predict_ms(board, best),
            parse_ms=None
            if best is None or best.schedule is None
            else _parse_ms(network, board, best.schedule),
        )


def _url(directory: Path) -> str:
    return f"sqlite:///{directory / 'speed.sqlite3'}"


@dataclass(frozen=True)
class _Place:
    """Where a job's database is, under which name it searches, and with how many workers."""

    directory: Path
    name: str
    jobs: int


def _job(
    capture: Callable[[], Network],
    board: str,
    settings: Settings,
    trials: int | None,
    place: _Place,
) -> tuple[float, int]:
    """Search and export; return the seconds and how many trials ran."""
    begin = time.perf_counter()
    with open_pool(find_board(board), jobs=place.jobs) as pool:
        pool.start(1)
        with create_study(
            capture(),
            board,
            storage=_url(place.directory),
            name=place.name,
            settings=settings,
            device=pool,
        ) as study:
            best = study.optimize(trials=trials)
            if best is not None and best.schedule is not None:
                save_schedule(best.schedule, place.directory / f"{place.name}.py")
            ran = len(study.trials)
    return time.perf_counter() - begin, ran


def _add_trial_ms(study: Study, trial: TrialRecord, url: str) -> float:
    with open_store(url) as store:
        return _median_ms(lambda: add_trial(store, study.record, trial))


def _predict_ms(board: str, trial: TrialRecord) -> float:
    arch = find_board(board).arch
    models = iter([CostModel.load(arch) for _ in range(_TIMED_REPEATS)])
    return _median_ms(lambda: next(models).estimate(trial.ops))


def _parse_ms(network: Network, board: str, schedule: Schedule) -> float:
    """Return the time to read the device ops out of one captured forward pass."""
    with open_local_device(find_board(board), "mock") as device:
        import torch  # noqa: PLC0415 - ttnn's environment is set when the device opens
        import ttnn  # noqa: PLC0415 - as above

        from autosched.device.ttnn.graph_capture import read_device_ops  # noqa: PLC0415 - as above
        from autosched.device.ttnn.runner import Runner  # noqa: PLC0415 - as above

        runner = Runner(network, schedule, device.device, device.board)
        images = [torch.zeros(layer.shape) for layer in network if isinstance(layer.op, Input)]
        uploaded = runner.upload(images)
        device.device.disable_and_clear_program_cache()
        ttnn.graph.begin_graph_capture(ttnn.graph.RunMode.NORMAL)
        try:
            outputs = runner.forward(uploaded)
        finally:
            graph = ttnn.graph.end_graph_capture()
        del outputs, uploaded
        return _median_ms(lambda: read_device_ops(graph))


def _median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(_TIMED_REPEATS):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


_SOLVER_REPEATS = 3
_PROPOSALS = 20
_LIMIT_S = 60.0
# How far the op times of a trial are taken to be from the probed ones.
_IN_PLACE_NOISE = 0.05


@dataclass(frozen=True)
class SolverSpeed:
    """The solver on one network, after probing, on one core.

    ``seconds`` is the fastest of three solutions of the tables, ``peak_bytes`` the most memory that
    one holds; ``gap`` is that of its proof. ``left_out`` counts the candidates that only the bounds
    are of, ``proof_s`` is the time of both bounds. ``proposal_ms`` is the joint sampler's own time
    for a trial, the median and the longest of 20 in which each trial taught it new times.
    """

    network: str
    board: str
    batch: int
    layers: int
    candidates: int
    left_out: int
    bound_us: float
    bound_kind: str
    bound_estimated_share: float
    optimal: bool
    gap: float
    states: int
    seconds: float
    proof_s: float
    peak_bytes: int
    proposal_ms: float
    longest_proposal_ms: float

    def to_plain(self) -> dict[str, Any]:
        """Return the figures as JSON types."""
        return asdict(self)


def measure_solver(bench: Bench) -> SolverSpeed:
    """Solve a prepared network's tables a few times.

    Raises:
        SearchError: if no schedule of the probed tables fits in L1.
    """
    joint, proof = bench.prepared, bench.proof
    solutions = [solve(joint.problem, time_limit_s=_LIMIT_S) for _ in range(_SOLVER_REPEATS)]
    fastest = min(solutions, key=lambda solution: solution.seconds)
    proposals = proposals_ms(joint)
    return SolverSpeed(
        network=bench.network.name,
        board=bench.board.name,
        batch=bench.network.batch,
        layers=len(joint.problem.layers),
        candidates=sum(len(layer.candidates) for layer in joint.problem.layers),
        left_out=sum(map(len, joint.left_out.values())),
        bound_us=proof.bound_us,
        bound_kind=proof.kind,
        bound_estimated_share=proof.estimated_share,
        optimal=fastest.optimal,
        gap=fastest.gap,
        states=fastest.states,
        seconds=fastest.seconds,
        proof_s=proof.seconds,
        peak_bytes=_peak_bytes(joint),
        proposal_ms=statistics.median(proposals),
        longest_proposal_ms=max(proposals),
    )


def _peak_bytes(joint: JointProblem) -> int:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        solve(joint.problem, time_limit_s=_LIMIT_S)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def proposals_ms(joint: JointProblem) -> list[float]:
    """Return the joint sampler's time for each of 20 trials, without the device's.

    Its times in place are drawn near the probed ones, so that every trial changes the tables. Where
    there are fewer schedules, fewer times are returned.
    """
    random = np.random.default_rng(0)
    sampler = JointSampler(joint, seed=0)
    times: list[float] = []
    while len(times) < _PROPOSALS:
        begin = time.perf_counter()
        selection = sampler.propose()
        if selection is None:
            break
        layer_us = {
            name: joint.tables[name][index].time_us * random.normal(1.0, _IN_PLACE_NOISE)
            for name, index in selection.candidates.items()
        }
        sampler.learn_times(selection, layer_us)
        times.append((time.perf_counter() - begin) * 1e3)
    return times
