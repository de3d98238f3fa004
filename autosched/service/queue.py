"""The queue at work: one runner a board, each with one search at a time in a process of its own.

A search is ``autosched run``, which stores whatever is finished at once: what is interrupted goes
on from there, by the same command.
"""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from autosched.errors import AutoschedError, NetworkFileError, StoreError
from autosched.files import private_directory
from autosched.passwords import hide_passwords, passwords_in
from autosched.service import submissions
from autosched.service.asking import AllowedNetworks
from autosched.service.bounds import BoundKeeper
from autosched.service.guard import Access
from autosched.service.ownership import Ownership, host_name
from autosched.service.search_files import delete_old, searches_of
from autosched.service.search_process import Ending, SearchProcess, Task
from autosched.service.submissions import State, Submission
from autosched.store.database import Store
from autosched.store.studies import find_study
from autosched.store.trials import count_trials

if TYPE_CHECKING:
    from autosched.cluster.connection import ClusterWatch

GRACE_S = 60.0
"""How long a search has to end once it is asked to, before it is killed."""
_POLL_S = 1.0
_NOTED_S = 2.0
"""How much of a time limit a killed service may give a search again."""
_REST_S = 5.0
_SLICE_S = 0.2


@dataclass(frozen=True)
class Worker:
    """A runner of this service, and what it runs; None where it has nothing to do."""

    board: str
    submission: int | None = None
    study: str | None = None
    process: int | None = None


class Queue:
    """Runs what is submitted, on some boards, from :meth:`start` to :meth:`stop`."""

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        store: Store,
        networks: AllowedNetworks,
        directory: Path,
        boards: Sequence[str],
        command: Sequence[str],
        *,
        grace_s: float = GRACE_S,
        cluster: str | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take what is run on: ``command`` is what the words ``run NET.PY`` follow.

        Searches have their requests answered by the ``cluster`` of a scheduler, None: here.
        """
        self.boards = tuple(boards)
        self.searches = searches_of(store, directory)
        self._store = store
        self._networks = networks
        self._command = tuple(command)
        # In a command line all users of the machine would see the password of a URL.
        self._environment = {"AUTOSCHED_STORAGE": store.url}
        if cluster is not None:
            self._environment["AUTOSCHED_CLUSTER"] = cluster
        self._grace_s = grace_s
        self._tell = say
        self._ownership = Ownership(store)
        self._stopping = threading.Event()
        self._killing = threading.Event()
        self._news = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._now: dict[str, Worker] = {board: Worker(board) for board in self.boards}

    @property
    def owner(self) -> str:
        """The name of this service."""
        return self._ownership.name

    @property
    def is_stopping(self) -> bool:
        """Whether the service is about to end."""
        return self._stopping.is_set()

    def workers(self) -> list[Worker]:
        """Return the runners."""
        return [self._now[board] for board in self.boards]

    def start(self) -> None:
        """Begin to run what waits.

        Raises:
            ServiceError: if the lock beside the database, or the directory, cannot be had.
            StoreError: if the database refuses.
        """
        self._ownership.take()
        self._tidy()
        for board in self.boards:
            # No daemon: a search dies with the thread that started it.
            thread = threading.Thread(target=self._work, args=(board,), name=f"runner of {board}")
            self._threads.append(thread)
            thread.start()

    def wake(self) -> None:
        """Look at once for what waits."""
        with self._news:
            self._news.notify_all()

    def ask_to_stop(self) -> None:
        """Interrupt what runs, which waits for the next start then; asked again, kill it."""
        if self._stopping.is_set():
            self._killing.set()
        self._stopping.set()
        self.wake()

    def stop(self) -> None:
        """End, after what runs has stored what is finished."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._ownership.close()

    def _work(self, board: str) -> None:
        while not self._stopping.is_set():
            try:
                item = self._next(board)
                if item is not None:
                    self._run(item)
                    continue
            except StoreError as error:
                self._say(f"runner of {board}: {error}")
                self._rest(_REST_S)
            except Exception:
                self._say(f"runner of {board}: {traceback.format_exc()}")
                self._rest(_REST_S)
            self._rest(_POLL_S)

    def _say(self, text: str) -> None:
        self._tell(hide_passwords(text, passwords_in(self._store.url)))

    def _rest(self, seconds: float) -> None:
        with self._news:
            if not self._stopping.is_set():
                self._news.wait(seconds)

    def _next(self, board: str) -> Submission | None:
        self._ownership.keep()
        for owner in submissions.owners_of_running(self._store, board):
            # What is ours while nothing runs was claimed, and the answer to that was lost.
            if owner == self.owner or self._ownership.is_gone(owner):
                back = submissions.take_back(self._store, owner)
                self._say(f"service {owner} is gone, and {back} of its studies goes on")
        return submissions.claim_next(self._store, board, self.owner, self._is_ours)

    def _is_ours(self, item: Submission) -> bool:
        """Whether this service is the one to run a submission, or to say that nobody can.

        One that another machine took, of a file that is not here, is left for that machine.
        """
        return item.host == host_name() or self._allowed(item.network) is not None

    def _allowed(self, network: str) -> str | None:
        """Return a submitted file and the object in it, if it may be executed here and now."""
        path, colon, attribute = network.rpartition(":")
        found = self._found_file(path) if colon else None
        if found is not None:
            return f"{found}:{attribute}"
        found = self._found_file(network)
        return None if found is None else str(found)

    def _found_file(self, name: str) -> Path | None:
        try:
            return self._networks.find(name)
        except NetworkFileError:
            return None

    def _run(self, item: Submission) -> None:
        began = time.monotonic()
        self._say(f"study {item.study}: begins (submission {item.id})")
        try:
            ending = self._searched(item, began)
        except StoreError as error:
            ending = Ending(State.WAITING, str(error))
        except (AutoschedError, OSError) as error:
            ending = Ending(State.FAILED, str(error))
        except Exception:
            self._say(traceback.format_exc())
            ending = Ending(
                State.FAILED, "the service failed where it should not; its log says how"
            )
        finally:
            self._now[item.board] = Worker(item.board)
        ran_s = time.monotonic() - began
        self._say(f"study {item.study}: {ending.state or 'no longer ours'} after {ran_s:.0f} s")
        # Without a database, whoever starts next finds that this service is gone.
        while not self._is_noted(item, ending, ran_s) and not self._stopping.is_set():
            self._rest(_REST_S)
        self._tidy()

    def _tidy(self) -> None:
        """Delete what searches have left that ended long ago."""
        try:
            delete_old(self._store, self.searches)
        except (StoreError, OSError) as error:
            self._say(f"{self.searches}: what is old there cannot be deleted: {error}")

    def _is_noted(self, item: Submission, ending: Ending, ran_s: float) -> bool:
        """Write what became of a submission; return whether the database has taken it."""
        message = hide_passwords(ending.message, passwords_in(self._store.url))
        try:
            if ending.state is State.WAITING:
                submissions.release(self._store, item, message, ran_s)
            elif ending.state is not None:
                submissions.end(
                    self._store,
                    item,
                    ending.state,
                    message=message,
                    result=ending.result,
                    ran_s=ran_s,
                )
        except StoreError as error:
            self._say(f"study {item.study}: {error}")
            return False
        return True

    def _searched(self, item: Submission, began: float) -> Ending:
        network = self._allowed(item.network)
        if network is None:
            return Ending(
                State.FAILED,
                "its network file is not below the directories of this service, or is gone",
            )
        study = find_study(self._store, item.study)
        trials = 0 if study is None or study.id is None else count_trials(self._store, study.id)
        submissions.note_beginning(self._store, item, trials)
        before = trials if item.trials_before is None else item.trials_before
        task = Task(item, network, trials - before, private_directory(self.searches))
        descriptor = self._ownership.descriptor
        keeps = () if descriptor is None else (descriptor,)
        process = SearchProcess(task, self._command, self._environment, keeps)
        self._now[item.board] = Worker(item.board, item.id, item.study, process.pid)
        try:
            return self._watched(item, process, began)
        finally:
            process.close()

    def _watched(self, item: Submission, process: SearchProcess, began: float) -> Ending:
        """Wait for a search, note how long it runs, ask it to end when somebody wants that."""
        looked = noted = time.monotonic()
        asked: float | None = None
        cancelled = False
        while not process.has_ended(_SLICE_S):
            moment = time.monotonic()
            if moment - looked > _POLL_S:
                looked = moment
                found = self._found(item)
                if found is not None and found.owner != self.owner:
                    process.close()
                    return Ending(None)
                cancelled = cancelled or (found is not None and found.cancel_asked)
            if asked is None and (cancelled or self._stopping.is_set()):
                asked = moment
                process.interrupt()
            if asked is not None:
                process.press(moment - asked, 0.0 if self._killing.is_set() else self._grace_s)
            elif moment - noted > _NOTED_S:
                noted = moment
                self._note_time(item, moment - began)
        return process.ending(cancelled=cancelled, stopped=asked is not None)

    def _note_time(self, item: Submission, ran_s: float) -> None:
        try:
            submissions.note_running(self._store, item, ran_s)
        except StoreError as error:
            self._say(f"study {item.study}: {error}")

    def _found(self, item: Submission) -> Submission | None:
        """Return a submission as it is now, or as it was where the database cannot be asked."""
        try:
            self._ownership.keep()
            return submissions.find_submission(self._store, item.id)
        except StoreError as error:
            self._say(f"study {item.study}: {error}")
            return None


@dataclass(frozen=True)
class Service:
    """Database, allowed files, queue, bounds, and who may ask.

    ``failures`` are what kept it from starting; ``cluster`` says who works there, where there is
    one.
    """

    store: Store
    networks: AllowedNetworks
    queue: Queue
    bounds: BoundKeeper
    access: Access
    version: str
    cluster: "ClusterWatch | None" = None
    failures: list[AutoschedError] = field(default_factory=list)

    def without_passwords(self, text: str) -> str:
        """Return a text without the password of the database."""
        return hide_passwords(text, passwords_in(self.store.url))
