"""Tasks of a study that a cluster is at: submitted, waited for, and submitted again where lost."""

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed.scheduler import KilledWorker

from autosched.budget import Budget
from autosched.cluster.connection import Connection
from autosched.cluster.offers import Offer
from autosched.errors import ClusterError, TimeUpError
from autosched.schedule.outcomes import Rejection, RejectionKind

Places = tuple[int, ...]
"""The places of the requests that one task answers."""
Submit = Callable[[Places], "Future[Any]"]

if TYPE_CHECKING:
    from distributed import Future

_LOOK_S = 0.5
# A worker that is killed from outside takes down whatever it has; a task that is there every time
# is to blame.
_MOST_DEATHS = 3


class TasksUnderWay:
    """Submits tasks that some offer answers, and hands out their results as they come.

    ``submit`` hands a task to Dask; it is called again for one that was lost.
    """

    def __init__(self, connection: Connection, need: Offer, submit: Submit) -> None:
        self._connection = connection
        self._need = need
        self._submit = submit
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._tasks: dict[Future[Any], Places] = {}
        self._deaths: dict[Places, int] = {}
        self._alone_since: float | None = None

    def results(self, tasks: Sequence[Places], budget: Budget) -> Iterator[tuple[Places, Any]]:
        """Yield tasks with their results as they end.

        A task of which workers die again and again is a rejection as a crash. Left early, what is
        under way is dropped.

        Raises:
            AutoschedError: whatever a task raised; a TimeUpError at the end of the budget; a
                ClusterError if the scheduler or all workers stay away.
        """
        try:
            self._connection.again(budget)
            self._begin(tasks)
            while self._tasks:
                future = self._next(budget)
                task = None if future is None else self._tasks.pop(future, None)
                if future is not None and task is not None:
                    yield from self._ended_with(task, future, budget)
        finally:
            if self._tasks and self._connection.is_up:
                with suppress(OSError, TimeoutError):
                    self._connection.client.cancel(list(self._tasks))

    def _begin(self, tasks: Sequence[Places]) -> None:
        for task in tasks:
            future = self._submit(task)
            self._tasks[future] = task
            future.add_done_callback(self._ended.put)

    def _ended_with(
        self, task: Places, future: "Future[Any]", budget: Budget
    ) -> Iterator[tuple[Places, Any]]:
        """Yield a task's result, unless it has to be submitted again."""
        error = future.exception() if future.status == "error" else None
        if isinstance(error, KilledWorker):
            deaths = self._deaths[task] = self._deaths.get(task, 0) + 1
            if deaths < _MOST_DEATHS:
                self._begin([task])
            else:
                yield (
                    task,
                    Rejection(
                        RejectionKind.CRASH,
                        f"lost with worker after worker, as by SIGKILL: {error}",
                    ),
                )
        elif error is not None:
            raise error
        else:
            try:
                result = future.result()
            except (OSError, CancelledError):
                # Lost, with the worker that had what it was made from, or with the scheduler, which
                # can go while it hands the result over.
                self._connection.again(budget)
                self._begin([task])
            else:
                yield task, result

    def _next(self, budget: Budget) -> "Future[Any] | None":
        """Return the next task that has ended; None: look again.

        Where the scheduler was lost, all that was under way begins anew.
        """
        future = None
        with suppress(queue.Empty):
            future = self._ended.get(timeout=_LOOK_S)
        if future is not None and future.status in ("finished", "error"):
            return future
        if budget.is_up:
            raise TimeUpError("the time was up before the cluster answered")
        if not self._connection.is_up:
            self._connection.again(budget)
            lost, self._tasks = list(self._tasks.values()), {}
            self._begin(lost)
            return None
        if future is None:
            self._check_workers()
        return future

    def _check_workers(self) -> None:
        """Wait for a worker where none is left, but not for ever."""
        found = self._connection.workers(self._need)
        patience_s = self._connection.patience_s
        if found.able:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
            self._connection.tell(
                f"No worker is left that has {self._need}{found.listed()}: waiting up to "
                f"{patience_s:.0f} s for one."
            )
        elif time.monotonic() - self._alone_since > patience_s:
            raise ClusterError(
                f"no worker at {self._connection.address} has {self._need} any more"
                f"{found.listed()}; what was answered is stored"
            )
