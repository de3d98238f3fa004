"""How long something may take, handed down from the search to the solver and the device."""

import math
import time
from dataclasses import dataclass

from autosched.errors import TimeUpError


@dataclass(frozen=True)
class Budget:
    """A moment on the monotonic clock, in seconds, at which work has to end; infinite: never.

    Whoever is given one passes it on, or a :meth:`part` of it, to what it waits for.
    """

    deadline_s: float = math.inf

    @classmethod
    def of(cls, seconds: float | None) -> "Budget":
        """Return the budget of so many seconds from now; None: without end."""
        return cls() if seconds is None else cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """Seconds that are left, 0 once it is up, infinite where it has no end."""
        return max(0.0, self.deadline_s - time.monotonic())

    @property
    def is_up(self) -> bool:
        """Whether nothing is left."""
        return self.left_s <= 0.0

    def check(self) -> None:
        """Raise TimeUpError if nothing is left; whoever made the budget catches it."""
        if self.is_up:
            raise TimeUpError

    def part(self, seconds: float) -> "Budget":
        """Return a budget of at most so many seconds that ends with this one at the latest."""
        return Budget(min(self.deadline_s, time.monotonic() + seconds))


UNLIMITED = Budget()
