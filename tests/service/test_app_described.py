"""The application against its own description: what schemathesis makes of that, right and wrong."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from autosched.service.app import create_app
from autosched.service.guard import Access
from autosched.service.submissions import Submission, add_submission, ask_to_cancel, now
from autosched.store.database import open_store
from tests.examples.studied import Studied, copied
from tests.service.conftest import HERE, Place, service_in

EXAMPLES = 10
SOAK_EXAMPLES = 1000
# Whether there is such a file, study or board, no description can say.
UNSAID = [positive_data_acceptance]
# Of what waits, events never end; they have tests of their own.
ENDLESS = r"/events$"


@pytest.fixture(scope="module")
def described(studied: Studied, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A service with some submissions, one of a study that has been; its queue runs nothing."""
    directory = tmp_path_factory.mktemp("described")
    place = Place(copied(studied.url, directory / "store.sqlite3"), directory, directory)
    uploads = directory / "uploads"
    uploads.mkdir()
    complaints: list[str] = []
    with open_store(place.url) as store:
        for name in (studied.record.name, "", "another"):
            place.program("resnet50", "")
            new = Submission(str(directory / "resnet50.py"), "n150", name, {}, "here", now())
            add_submission(store, new, "resnet50")
        ask_to_cancel(store, 3)
        service = service_in(place, store, Access(), uploads=uploads)
        app = create_app(service, say=lambda _: None, complain=complaints.append)
        found = schemathesis.openapi.from_asgi(
            "/api/openapi.json", app, headers={"host": "127.0.0.1"}
        )
        yield found.exclude(path_regex=ENDLESS)
    assert complaints == []


def ask_all(described: Any, mode: GenerationMode, examples: int) -> dict[str, set[int]]:
    """Ask every operation; return with which statuses each answered."""
    operations = [found.ok() for found in described.get_all_operations()]
    return {
        f"{operation.method.upper()} {operation.path}": statuses_of(operation, mode, examples)
        for operation in operations
    }


def statuses_of(operation: Any, mode: GenerationMode, examples: int) -> set[int]:
    answered = set()

    @settings(_ANY, max_examples=examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case: Case) -> None:
        answered.add(case.call_and_validate(HERE, excluded_checks=UNSAID).status_code)

    with suppress(Unsatisfiable):  # what takes nothing cannot be asked for in a wrong way
        asked()
    return answered


_ANY = settings(deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,))


def test_every_answer_is_as_described_and_none_a_server_error(described: Any) -> None:
    seen = ask_all(described, GenerationMode.POSITIVE, EXAMPLES)
    assert len(seen) >= 12
    assert {200, 404} & seen["GET /api/studies/{number}"]
    assert max(status for statuses in seen.values() for status in statuses) < 500


def test_nothing_wrong_is_taken_nor_a_server_error(described: Any) -> None:
    seen = ask_all(described, GenerationMode.NEGATIVE, EXAMPLES)
    assert seen["POST /api/studies"] <= {400, 404, 413, 422}
    assert max(status for statuses in seen.values() for status in statuses) < 500


@pytest.mark.soak
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_so_is_every_answer_of_very_many(described: Any, mode: GenerationMode) -> None:
    seen = ask_all(described, mode, SOAK_EXAMPLES)
    assert max(status for statuses in seen.values() for status in statuses) < 500
