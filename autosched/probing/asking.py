"""Several layers asked together, so that no worker waits for what one layer wants to know next."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

from autosched.errors import AutoschedError
from autosched.probing.probe_book import Ask, ProbeBook, Probed
from autosched.schedule.outcomes import Rejection

Key = TypeVar("Key")
Found = TypeVar("Found")

Given = list[Probed | Rejection]
Asking = Generator[Sequence[Ask], Given, Found]
"""What asks in steps: yields what it asks next, is sent the answers in that order, and returns."""

# So many that the steps of one fill the pauses of another, so few that layers end one by one.
_AT_A_TIME = 4


def ask_together(
    book: ProbeBook,
    askings: Iterable[tuple[Key, Asking[Found]]],
    arrived: Callable[[Key], object] = lambda _key: None,
) -> Iterator[tuple[Key, Found]]:
    """Yield what each asking comes to; what a few of them ask next makes one batch.

    Of those that fail, the first in order is the one whose error is raised, once all before it have
    come to something: as if they were asked one after the other.

    ``arrived`` is called with the key of whoever begins, or got an answer of the device.

    Raises:
        AutoschedError: whatever the book or an asking raises.
    """
    waiting = iter(askings)
    active: list[_Asker[Key, Found]] = []
    failure: AutoschedError | None = None
    while True:
        for key, asking in islice(waiting, _AT_A_TIME - len(active)):
            arrived(key)
            active.append(_Asker(key, asking))
        if not active:
            break
        _answer(active, book, arrived)
        for place, asker in enumerate(active):
            yield from asker.ended
            if asker.failure is not None:
                failure, waiting, active = asker.failure, iter(()), active[:place]
                break
        active = [asker for asker in active if not asker.ended]
    if failure is not None:
        raise failure


def _answer(
    active: "Sequence[_Asker[Key, Found]]",
    book: ProbeBook,
    arrived: Callable[[Key], object],
) -> None:
    asks = [ask for asker in active for ask in asker.asks]
    owners = [asker.key for asker in active for _ in asker.asks]
    answers = iter(book.ask_all(asks, lambda index: arrived(owners[index])))
    for asker in active:
        if asker.asks:
            asker.go_on([next(answers) for _ in asker.asks])


class _Asker(Generic[Key, Found]):
    """An asking under way: what it asks now, nothing once it has ``ended`` with its result."""

    def __init__(self, key: Key, asking: Asking[Found]) -> None:
        self.key = key
        self.asks: Sequence[Ask] = ()
        self.ended: list[tuple[Key, Found]] = []
        self.failure: AutoschedError | None = None
        self._asking = asking
        self._advance(lambda: next(asking))

    def go_on(self, answers: Given) -> None:
        """Hand over the answers to ``asks``."""
        self._advance(lambda: self._asking.send(answers))

    def _advance(self, step: Callable[[], Sequence[Ask]]) -> None:
        self.asks = ()
        try:
            self.asks = step()
            while not self.asks:  # there is nothing to wait for
                self.asks = self._asking.send([])
        except StopIteration as end:
            self.ended.append((self.key, end.value))
        except AutoschedError as error:
            self.failure = error
