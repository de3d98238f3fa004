"""The house: no circle of imports, few rooms, none a warehouse."""

from tests.accept.promise import Figures, Kind, Limit, Promise
from tests.test_imports import LARGEST_ROOM, MODULES, circle, room_sizes

CIRCLES, COUNT, LARGEST = "modules in a circle of imports", "modules", "modules of one room"


def measure() -> Figures:
    return {
        CIRCLES: len(circle()),
        COUNT: sum(path.name != "__init__.py" for path in MODULES.values()),
        LARGEST: max(room_sizes().values()),
    }


PROMISES = (
    Promise(
        "house",
        "The import package has clear rooms: modules stand in no circle, and in no warehouse.",
        (
            Limit(CIRCLES, Kind.COUNTED, most=0, least=0),
            Limit(COUNT, Kind.COUNTED, most=320),
            Limit(LARGEST, Kind.COUNTED, most=LARGEST_ROOM),
        ),
        measure,
        time_limit_s=60,
    ),
)
