"""The house: no circle of imports, few rooms, none a warehouse."""

from tests.accept.promise import Figures, Kind, Limit, Promise
from tests.test_imports import LARGEST_ROOM, circle, room_sizes

CIRCLES, MODULES, LARGEST = "modules in a circle of imports", "modules", "modules of one room"


def measure() -> Figures:
    sizes = room_sizes()
    ground = 3  # errors, budget, boards
    return {
        CIRCLES: len(circle()),
        MODULES: sum(sizes.values()) + ground,
        LARGEST: max(sizes.values()),
    }


PROMISES = (
    Promise(
        "house",
        "The import package has clear rooms: modules stand in no circle, and in no warehouse.",
        (
            Limit(CIRCLES, Kind.COUNTED, most=0, least=0),
            Limit(MODULES, Kind.COUNTED, most=175),
            Limit(LARGEST, Kind.COUNTED, most=LARGEST_ROOM),
        ),
        measure,
        time_limit_s=60,
    ),
)
