"""A search that waits to be killed: ``python -m tests.search.victim PICKLE URL``.

It says on standard output which probe or trial is finished, as soon as the next one begins.
"""

import pickle
import sys
import time
from pathlib import Path
from typing import Any

from autosched.budget import UNLIMITED, Budget
from autosched.device.interface import check_time
from autosched.search.open_study import open_study
from autosched.store.database import open_store
from tests.examples.devices import Records, Scripted, TableDevice
from tests.examples.studied import QUICK

NAME = "killed"
_PROBE_S, _TRIAL_S = 0.002, 0.05


class Slow(Scripted):
    """Takes its time, and says what is finished when it is asked for more."""

    def _answer(self, kind: str, finished: int, request: Any, seconds: float) -> Any:
        print(kind, finished, flush=True)  # noqa: T201 - the parent reads it
        time.sleep(seconds)
        return self._answers[kind](request)

    def probe(self, request: Any, budget: Budget = UNLIMITED) -> Any:
        check_time(budget)
        self.probes.append(request)
        finished = len(self.probes) + len(self.reshards) - 1
        return self._answer("probe", finished, request, _PROBE_S)

    def reshard(self, request: Any, budget: Budget = UNLIMITED) -> Any:
        check_time(budget)
        self.reshards.append(request)
        finished = len(self.probes) + len(self.reshards) - 1
        return self._answer("reshard", finished, request, _PROBE_S)

    def run(self, schedule: Any, budget: Budget = UNLIMITED) -> Any:
        check_time(budget)
        self.schedules.append(schedule)
        return self._answer("run", len(self.schedules) - 1, schedule, _TRIAL_S)


def main(pickled: str, url: str) -> None:
    joint, records = pickle.loads(Path(pickled).read_bytes())  # noqa: S301 - the parent's
    assert isinstance(records, Records)
    device = Slow(TableDevice(records, joint))
    with (
        open_store(url) as store,
        open_study(store, joint.network, "n150", QUICK, NAME, device) as study,
    ):
        study.optimize(trials=10_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
