import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autosched.export.loading import load_schedule
from autosched.export.saving import render_json
from autosched.schedule.outcomes import Rejection, RejectionKind
from autosched.service.app import create_app
from autosched.service.guard import Access
from autosched.service.queue import Service
from autosched.service.submissions import Submission, add_submission, ask_to_cancel, now
from autosched.store.database import Store, open_store
from autosched.store.studies import get_study
from autosched.store.trials import (
    DEFAULT_SAMPLER,
    add_trial,
    best_of,
    finished_trial,
    list_trials,
    reject_trial,
)
from tests.examples.studied import Studied, copied
from tests.service.conftest import HERE, PATIENCE_S, Place, TestClient, awaited, service_in


@pytest.fixture
def net(place: Place) -> str:
    place.program("net", "")
    return "net.py"


def refused(answer: Any, status: int, *words: str) -> None:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    for word in words:
        assert word in answer.json()["error"]


def test_a_study_is_submitted_listed_and_cancelled(idle: TestClient, net: str) -> None:
    options = {"effort": "quick", "trials": 3, "start": None}
    made = idle.post("/api/studies", json={"network": net, "options": options})
    assert made.status_code == 201
    entry = made.json()
    assert made.headers["location"] == "/api/studies/1"
    assert (entry["state"], entry["study"], entry["board"]) == ("waiting", "net-n150-1", "n150")
    assert entry["network"] == "net.py"
    assert idle.get("/api/studies").json() == {"studies": [entry], "next": None}
    assert idle.get("/api/studies?state=running").json()["studies"] == []
    detail = idle.get("/api/studies/1").json()
    assert detail["options"] == {"effort": "quick", "trials": 3}
    assert (detail["best"], detail["bound"], detail["layers"]) == (None, None, [])
    assert idle.get("/api/studies/1/curve").json()["points"] == []
    assert idle.post("/api/studies/1/cancel").json()["state"] == "cancelled"
    assert idle.post("/api/studies/1/cancel").json()["state"] == "cancelled"
    refused(idle.get("/api/studies/1/schedule.json"), 409, "not begun")
    assert idle.get("/api/workers").json()["waiting"] == 0


def test_a_list_continues_where_it_ended(idle: TestClient, net: str) -> None:
    for _ in range(3):
        idle.post("/api/studies", json={"network": net})
    page = idle.get("/api/studies?limit=2").json()
    rest = idle.get(f"/api/studies?limit=2&before={page['next']}").json()
    assert [item["id"] for item in (*page["studies"], *rest["studies"])] == [3, 2, 1]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ('{"network": "none.py"}', 404, "no network file"),
        ('{"network": "../net.py"}', 404, "no network file"),
        ('{"network": "net.py", "board": "p150"}', 422, "has n150"),
        ('{"network": "net.py", "options": {"trials": -1}}', 422, "options.trials"),
        ('{"network": "net.py", "options": {"risk": NaN}}', 422, "options.risk"),
        ('{"network": "net.py", "options": {"min_metric": 1e999}}', 422, "options.min_metric"),
        ('{"network": "net.py", "options": {"trials": 1' + "0" * 400 + "}}", 422, "trials"),
        ('{"network": "net.py", "options": {"trials": 1' + "0" * 5000 + "}}", 400, ""),
        ('{"network": "net.py", "options": {"pin": ["nonsense"]}}', 422, "--pin"),
        ('{"network": "net.py", "options": {"start": {"a": 1}}}', 422, "options.start"),
        ('{"network": "net.py", "options": {"start": {"a": NaN}}}', 422, "options.start"),
        ('{"network": "net.py", "what": 1}', 422, "what"),
        ('{"network": "net.py", "name": "\\ud800"}', 422, "name"),
        ('{"network": "\\ud800.py"}', 422, "network"),
        ('{"network": "net\\u0000.py"}', 422, "network"),
        ("[" * 100_000, 400, ""),
        ("", 422, ""),
        ("null", 422, ""),
        ("\udcff", 400, ""),
        ("{", 400, "JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_in_one_message(
    idle: TestClient, net: str, body: str, status: int, word: str
) -> None:
    answer = idle.post(
        "/api/studies",
        content=body.encode("utf-8", "surrogateescape"),
        headers={"content-type": "application/json"},
    )
    assert net == "net.py"
    refused(answer, status, word)
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("depth", [50, 900, 3000, 90_000])
def test_what_is_nested_deeply_is_refused(idle: TestClient, net: str, depth: int) -> None:
    start = '{"a":' * depth + "1" + "}" * depth
    answer = idle.post(
        "/api/studies",
        content=f'{{"network": "{net}", "options": {{"start": {start}}}}}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/studies/0", 422), ("/api/studies/-1", 422), ("/api/studies/x", 422),
        ("/api/studies/99999999999999999999", 422), ("/api/studies/7", 404),
        ("/api/studies/7/curve", 404), ("/api/studies/7/events", 404),
        ("/api/studies/7/schedule.json", 404), ("/api/studies/7/schedule.py", 404),
        ("/api/studies?limit=0", 422), ("/api/studies?limit=501", 422),
        ("/api/studies?state=odd", 422), ("/api/studies?before=0", 422), ("/api/no", 404),
        ("/docs", 404), ("/page.js/../../app.py", 404), ("/../app.py", 404), ("/page/", 404),
    ],
)  # fmt: skip
def test_what_there_is_not_is_said_to_be_not_there(
    idle: TestClient, path: str, status: int
) -> None:
    refused(idle.get(path), status)


def test_another_method_is_refused(idle: TestClient) -> None:
    answer = idle.put("/api/studies", json={})
    refused(answer, 405)
    assert "allow" in answer.headers


def test_no_more_than_so_many_wait(
    idle: TestClient, net: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosched.service.app.MOST_WAITING", 2)
    codes = [idle.post("/api/studies", json={"network": net}).status_code for _ in range(3)]
    assert codes == [201, 201, 429]


def test_files_are_taken_only_where_that_is_allowed(
    place: Place, store: Store, idle: TestClient, tmp_path: Path
) -> None:
    refused(idle.post("/api/networks?name=a.py", content=b""), 403, "--allow-upload")
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    service = service_in(place, store, Access(), uploads=uploads)
    client = TestClient(create_app(service, say=lambda _: None), base_url=HERE)
    refused(client.post("/api/networks?name=../a.py", content=b""), 422, "no name")
    refused(client.post("/api/networks?name=a.py", content=b" " * (2 << 20)), 413)
    kept = client.post("/api/networks?name=a.py", content=b"x = 1\n")
    assert kept.status_code == 201
    name = kept.json()["network"]
    assert name in client.get("/api/networks").json()["networks"]
    made = client.post("/api/studies", json={"network": name})
    assert made.json()["study"] == "a-n150-1"


@pytest.fixture
def searched(studied: Studied, place: Place, tmp_path: Path) -> Any:
    """A service whose database has the residual block's study, as a submission that has ended."""
    url = copied(studied.url, tmp_path / "searched.sqlite3")
    with open_store(url) as store:
        service = service_in(place, store, Access())
        new = Submission("/nets/net.py", "n150", studied.record.name, {}, "here", now())
        number = add_submission(store, new, "net").id
        ask_to_cancel(store, number)
        app = create_app(service, say=lambda _: None, complain=pytest.fail)
        with TestClient(app, base_url=HERE) as client:
            yield client, service, f"/api/studies/{number}"


Searched = tuple[TestClient, Service, str]


def test_a_study_is_shown_with_the_kind_of_each_time(searched: Searched, studied: Studied) -> None:
    client, service, path = searched
    best = best_of(service.store, studied.record)
    assert best is not None
    found = client.get(path).json()
    assert found["best"]["latency_us"] == best.latency_us
    assert found["trials"] == len(studied.trials)
    assert found["default_us"] == studied.trials[0].latency_us

    def kinds(value: Any) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                if name.endswith("_us") and item is not None and "std" not in name:
                    # The bound in any order is of the same kind as the bound.
                    stem = name.removesuffix("_us").replace("bound_any_order", "bound")
                    assert value[f"{stem}_kind"] == "estimated", name
                kinds(item)
        elif isinstance(value, list):
            for item in value:
                kinds(item)

    assert [row["layer"] for row in found["layers"]] == [layer.name for layer in studied.network]
    kinds(found)
    kinds(client.get("/api/studies").json())
    kinds(client.get(f"{path}/curve").json())


def test_the_default_is_the_last_that_ran_of_it(searched: Searched) -> None:
    client, service, path = searched
    store = service.store
    before = client.get(path).json()
    record = get_study(store, before["study"])
    (first,) = list_trials(store, record, with_ops=True, numbers=[0])
    assert first.sampler == DEFAULT_SAMPLER
    assert first.latency_us is not None
    slower = replace(first, latency_us=first.latency_us + 1)
    again = add_trial(store, record, slower)
    ran = client.get(path).json()
    assert (ran["default_us"], ran["complete"]) == (slower.latency_us, before["complete"] + 1)
    reject_trial(store, record, again.number or 0, Rejection(RejectionKind.HANG, "", ""))
    found = client.get(path).json()
    assert (found["default_us"], found["complete"]) == (first.latency_us, before["complete"])
    assert found["rejections"]["trials"]["hang"] == 1
    assert found["trials"] == ran["trials"] == before["trials"] + 1


def test_the_bound_is_proven_beside_the_study(searched: Searched, studied: Studied) -> None:
    client, _, path = searched
    found = awaited(lambda: client.get(path).json()["bound"])
    assert found["bound_us"] == pytest.approx(studied.bound_us)
    assert (found["bound_kind"], found["trials"]) == ("estimated", len(studied.trials))
    assert client.get(f"{path}/curve").json()["bound"] == found
    whole = client.get(path).json()
    assert whole["gap"] == pytest.approx(whole["best_us"] / found["bound_us"] - 1, abs=1e-6)
    assert whole["probes"] > 0


def test_the_curve_goes_down_and_continues(searched: Searched, studied: Studied) -> None:
    client, _, path = searched
    whole = client.get(f"{path}/curve").json()["points"]
    assert [point["trial"] for point in whole] == list(range(len(studied.trials)))
    bests = [point["best_us"] for point in whole if point["best_us"] is not None]
    assert bests == sorted(bests, reverse=True)
    first = client.get(f"{path}/curve?limit=2").json()
    rest = client.get(f"{path}/curve?after={first['next']}").json()
    assert first["points"] + rest["points"] == whole


def test_the_schedule_is_fetched_as_json_and_as_module(
    searched: Searched, studied: Studied, tmp_path: Path
) -> None:
    client, service, path = searched
    record = get_study(service.store, studied.record.name)
    _, schedule = finished_trial(service.store, record)
    as_json = client.get(f"{path}/schedule.json")
    assert as_json.text == render_json(schedule)
    assert as_json.headers["content-disposition"] == (f'attachment; filename="{record.name}.json"')
    (tmp_path / "a.json").write_text(as_json.text)
    assert load_schedule(tmp_path / "a.json") == schedule
    module = client.get(f"{path}/schedule.py")
    assert module.headers["content-disposition"].endswith('.py"')
    (tmp_path / "a.py").write_text(module.text)
    assert load_schedule(tmp_path / "a.py", safe=True) == schedule
    # And as it was fetched, it is taken to start from.
    (service.networks.roots[0] / "net.py").write_text("")
    body = {"network": "net.py", "options": {"start": json.loads(as_json.text)}}
    assert client.post("/api/studies", json=body).status_code == 201


def test_events_tell_all_that_is_there_and_end_with_the_study(
    searched: Searched, studied: Studied
) -> None:
    client, _, path = searched
    with client.stream("GET", f"{path}/events", timeout=PATIENCE_S) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = answer.read().decode()
    names = [line[7:] for line in text.split("\n") if line.startswith("event: ")]
    assert names[0] == "state"
    assert names.count("trial") == len(studied.trials)
    assert names[-1] == "end"
    again = client.get(f"{path}/events", headers={"last-event-id": str(len(studied.trials) - 2)})
    assert again.text.count("event: trial") == 1


def test_nothing_of_the_database_s_password_is_told(place: Place, postgresql_url: str) -> None:
    told: list[str] = []
    with open_store(postgresql_url) as store:
        service = service_in(place, store, Access())
        app = create_app(service, say=told.append, complain=told.append)
        place.program("net", "import os\nraise SystemExit(os.environ['AUTOSCHED_STORAGE'])")
        with TestClient(app, base_url=HERE) as client:
            client.post("/api/studies", json={"network": "net.py"})
            awaited(lambda: client.get("/api/studies/1").json()["state"] == "failed")
            texts = [
                client.get(path).text
                for path in (
                    "/api/studies",
                    "/api/studies/1",
                    "/api/workers",
                    "/api/studies/1/events",
                )
            ]
    assert "***" in texts[1]
    assert "secret" not in "".join((*texts, *told))


def test_a_database_that_refuses_is_no_defect(idle: TestClient, store: Store) -> None:
    with store.writing() as session:
        session.connection().exec_driver_sql("DROP TABLE autosched_submission")
    refused(idle.get("/api/studies"), 503, "database refuses")
    refused(idle.get("/api/studies/1"), 503)
    refused(idle.post("/api/studies/1/cancel"), 503)
