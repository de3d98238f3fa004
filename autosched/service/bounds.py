"""Lower bounds of studies that run, as they are known by now: proven beside them, one at a time.

Each is proven in a process of its own, from the database alone: putting a joint problem together
takes seconds in which a service would answer nobody.
"""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autosched.budget import Budget
from autosched.errors import AutoschedError
from autosched.search.stored_study import read_study
from autosched.service.search_process import Child, own_program
from autosched.store.database import open_store
from autosched.store.studies import get_study

_FORMATS = "formats are chosen, too, and accuracy limits them"
READING_LIMIT_S = 60.0
PROVING_LIMIT_S = 20.0


def bound_of_study(url: str, name: str) -> dict[str, Any]:
    """Return the bound of a study with its kind, and what its questions were answered.

    Raises:
        AutoschedError: if the study, its network or the database cannot be had.
    """
    with open_store(url) as store:
        study = read_study(store, get_study(store, name), Budget.of(READING_LIMIT_S))
        proof = study.proof(PROVING_LIMIT_S)
        counts = study.book.known_counts
        return {
            "bound": None if proof is None else proof.to_plain(),
            "unprobed": study.unprobed or (_FORMATS if study.settings.search_formats else ""),
            "probes": counts.reused,
            "rejected": {kind.value: number for kind, number in counts.rejected.items()},
            "left_out": dict(counts.left_out),
        }


def answer_question() -> None:
    """Answer the one question on standard input."""
    asked = json.load(sys.stdin)
    try:
        found = bound_of_study(asked["url"], asked["study"])
    except AutoschedError as error:
        found = {"error": str(error)}
    json.dump(found, sys.stdout, allow_nan=False)


_PROGRAM = own_program("autosched.service.bounds", "answer_question")
_LIMIT_S = READING_LIMIT_S + 3 * PROVING_LIMIT_S
_SLICE_S = 0.2
# Of the time that a study runs, the proofs beside it take no more than a fifth.
_REST_FACTOR, _LEAST_REST_S = 4.0, 5.0
_MOST_KEPT = 200
_NICE = 10

Reached = tuple[int, int]
"""How far a study is: its number of trials, and the newest probe of the database."""


@dataclass(frozen=True)
class KnownBound:
    """What was proven of a study when it was as far as ``progress``.

    ``bound`` has the keys of :meth:`autosched.probing.lower_bound.Proof.to_plain`, and is None
    where not everything is probed, which ``unprobed`` says. ``rejected`` counts probes by kind.
    """

    progress: Reached
    bound: Mapping[str, Any] | None
    unprobed: str = ""
    probes: int | None = None
    rejected: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass
class _Entry:
    known: KnownBound | None = None
    rests_until: float = 0.0


class BoundKeeper:
    """Proves bounds when they are asked for, and keeps them."""

    def __init__(self, url: str, say: Callable[[str], None] = lambda _: None) -> None:
        """Prove from the database of a URL, in processes that get it through a pipe."""
        self._url = url
        self._say = say
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._wanted: OrderedDict[str, Reached] = OrderedDict()
        self._news = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to prove."""
        self._thread = threading.Thread(target=self._work, name="bounds")
        self._thread.start()

    def stop(self) -> None:
        """End, with whatever is being proven."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def ask(self, study: str, progress: Reached) -> KnownBound | None:
        """Return what is known of a study by now; have it proven anew if that is of before."""
        with self._news:
            entry = self._entries.setdefault(study, _Entry())
            self._entries.move_to_end(study)
            while len(self._entries) > _MOST_KEPT:
                self._entries.popitem(last=False)
            is_new = entry.known is None or entry.known.progress != progress
            if is_new and time.monotonic() >= entry.rests_until:
                self._wanted[study] = progress
                self._news.notify_all()
            return entry.known

    def _work(self) -> None:
        while True:
            with self._news:
                while not self._wanted and not self._stopping:
                    self._news.wait()
                if self._stopping:
                    return
                study, progress = self._wanted.popitem(last=False)
            began = time.monotonic()
            found = self._proven(study)
            took_s = time.monotonic() - began
            with self._news:
                entry = self._entries.setdefault(study, _Entry())
                entry.rests_until = time.monotonic() + max(_LEAST_REST_S, _REST_FACTOR * took_s)
                if found is not None:
                    entry.known = KnownBound(progress, **found)

    def _proven(self, study: str) -> dict[str, Any] | None:
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answer:
            asked.write(json.dumps({"url": self._url, "study": study}).encode())
            asked.seek(0)
            try:
                child = Child(
                    _PROGRAM,
                    environment={},
                    out=answer,
                    err=subprocess.DEVNULL,
                    reads=asked,
                    nice=_NICE,
                )
            except OSError as error:
                self._say(f"bound of {study}: {error}")
                return None
            try:
                code = self._awaited(child)
            finally:
                child.kill()
            answer.seek(0)
            text = answer.read()
        try:
            found = json.loads(text)
        except ValueError:
            self._say(f"bound of {study}: its process ended with {code} and no answer")
            return None
        if "error" in found:
            self._say(f"bound of {study}: {found['error']}")
            return None
        return dict(found)

    def _awaited(self, child: Child) -> int | None:
        deadline = time.monotonic() + _LIMIT_S
        while time.monotonic() < deadline and not self._stopping:
            code = child.wait(_SLICE_S)
            if code is not None:
                return code
        child.signal(signal.SIGTERM)
        return None
