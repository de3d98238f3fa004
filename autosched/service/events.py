"""A study followed: server-sent events of what is new in the database, until it has ended."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool

from autosched.errors import StoreError
from autosched.service import progress, submissions
from autosched.service.queue import Service
from autosched.store.studies import find_study

_PAUSE_S = 1.0
_SILENCE_S = 15.0
_AT_ONCE = 500


class Following:
    """How many follow studies now: each costs a look into the database a second."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._turn = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether nobody more may."""
        return self._left <= 0

    def enter(self) -> None:
        """Begin to follow."""
        with self._turn:
            self._left -= 1

    def leave(self) -> None:
        """End it."""
        with self._turn:
            self._left += 1


class _News:
    """What of a study has been told already."""

    def __init__(self, service: Service, number: int, after: int) -> None:
        self._service = service
        self._number = number
        self._after = after
        self._state: dict[str, Any] | None = None
        self._bound: dict[str, Any] | None = None
        self._best: progress.BestByKind | None = None
        self.is_behind = False
        self.has_ended = False

    def look(self) -> list[str]:
        """Return what is new as events; the last ones of a study end with ``end``."""
        service = self._service
        item = submissions.find_submission(service.store, self._number)
        if item is None:
            self.has_ended = True
            return [_event("end", {"state": "gone"})]
        told = []
        state = {
            "state": item.status.value,
            "message": item.message,
            "cancel_asked": item.cancel_asked,
        }
        if state != self._state:
            self._state = state
            told.append(_event("state", state))
        record = find_study(service.store, item.study)
        if record is not None:
            if self._best is None:
                self._best = progress.best_until(service.store, record, self._after)
            points = progress.points(service.store, record, self._after, _AT_ONCE, self._best)
            self.is_behind = len(points) == _AT_ONCE
            for point in points:
                self._after = point.trial
                told.append(_event("trial", point.model_dump(mode="json"), point.trial))
            known = progress.known_bound(service.store, item, record, service.bounds)
            shown = None if known is None else progress.lower_bound(known)
            bound = None if shown is None else shown.model_dump(mode="json")
            if bound is not None and bound != self._bound:
                self._bound = bound
                told.append(_event("bound", bound))
            if self.is_behind:
                return told
        if item.has_ended:
            self.has_ended = True
            told.append(_event("end", {"state": item.status.value}))
        return told


async def events(
    service: Service, number: int, after: int, following: Following
) -> AsyncIterator[str]:
    """Yield what is new of a submission, a look a second, and a comment where there is nothing."""
    news = _News(service, number, after)
    spoke = time.monotonic()
    following.enter()
    try:
        yield "retry: 2000\n\n"
        while not news.has_ended and not service.queue.is_stopping:
            try:
                told = await run_in_threadpool(news.look)
            except StoreError:
                told = []
            for text in told:
                yield text
            if told:
                spoke = time.monotonic()
            elif time.monotonic() - spoke > _SILENCE_S:
                spoke = time.monotonic()
                yield ": still here\n\n"
            if not news.has_ended and not news.is_behind:
                await asyncio.sleep(_PAUSE_S)
    finally:
        following.leave()


def _event(name: str, data: dict[str, Any], number: int | None = None) -> str:
    mark = "" if number is None else f"id: {number}\n"
    return f"event: {name}\n{mark}data: {json.dumps(data, allow_nan=False)}\n\n"
