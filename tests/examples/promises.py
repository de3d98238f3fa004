"""Small promises for the frame that takes them: one of each end."""

import os
import time

from tests.accept.promise import Figures, Kind, Limit, NotMeasuredError, Promise

AT_MOST_TWO = (Limit("count", Kind.COUNTED, most=2),)


def held() -> Figures:
    return {"count": 2, "time": 0.25}


def broken() -> Figures:
    return {"count": 3}


def silent() -> Figures:
    return {}


def partly() -> Figures:
    return {"count": 1, "time": "needs a clock"}


def missing() -> Figures:
    raise NotMeasuredError("needs a crystal ball")


def crashing() -> Figures:
    raise RuntimeError("the device is on fire")


def dying() -> Figures:
    os.abort()


def hanging() -> Figures:
    time.sleep(60)
    return held()


PROMISES = (
    Promise(
        "held",
        "Two are two.",
        (*AT_MOST_TWO, Limit("time", Kind.MEASURED, "s", least=0.1, most=0.5)),
        held,
        20,
        boards=("n150",),
    ),
    Promise("broken", "Three are two.", AT_MOST_TWO, broken, 21),
    Promise("silent", "Nothing is said.", AT_MOST_TWO, silent, 22),
    Promise(
        "partly",
        "A part needs a clock.",
        (*AT_MOST_TWO, Limit("time", Kind.ESTIMATED, "s", most=1)),
        partly,
        23,
    ),
    Promise("missing", "All is foreseen.", AT_MOST_TWO, missing, 24),
    Promise("crashing", "It does not end well.", AT_MOST_TWO, crashing, 25),
    Promise("dying", "It ends without a word.", AT_MOST_TWO, dying, 26),
    Promise("hanging", "It does not end.", AT_MOST_TWO, hanging, 0.5),
)
