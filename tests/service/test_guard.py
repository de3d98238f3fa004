import re
from pathlib import Path

import pytest

from autosched.cluster.addresses import is_loopback
from autosched.errors import ServiceError
from autosched.service.app import create_app
from autosched.service.guard import COOKIE, Access
from autosched.store.database import Store
from tests.service.conftest import HERE, Place, TestClient, service_in

TOKEN = "a-token-of-some-length-0123456789"  # noqa: S105 - of the test
EVERY_PATH = [
    ("GET", "/api/studies"),
    ("POST", "/api/studies"),
    ("GET", "/api/studies/1"),
    ("GET", "/api/studies/1/curve"),
    ("GET", "/api/studies/1/events"),
    ("POST", "/api/studies/1/cancel"),
    ("GET", "/api/studies/1/schedule.json"),
    ("GET", "/api/studies/1/schedule.py"),
    ("GET", "/api/quarantine"),
    ("GET", "/api/workers"),
    ("GET", "/api/networks"),
    ("POST", "/api/networks?name=a.py"),
    ("POST", "/api/logout"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/nothing"),
]


def asking(place: Place, store: Store, access: Access, **options: object) -> TestClient:
    app = create_app(service_in(place, store, access), say=lambda _: None, complain=pytest.fail)
    base = str(options.pop("base_url", HERE))
    return TestClient(app, base_url=base, raise_server_exceptions=False)


@pytest.fixture
def guarded(place: Place, store: Store) -> TestClient:
    return asking(place, store, Access(TOKEN, loopback=False), base_url="http://tuner.example")


@pytest.mark.parametrize(("method", "path"), EVERY_PATH)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer \xff"},
        {"cookie": f"{COOKIE}={TOKEN}"},
        {"cookie": f'{COOKIE}="; {COOKIE}=;;;'},
    ],
)
def test_nothing_is_answered_without_the_token(
    guarded: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = guarded.request(method, path, headers=raw)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert set(answer.json()) == {"error"}


def test_the_paths_above_are_all_there_are(guarded: TestClient) -> None:
    described = guarded.get("/api/openapi.json", headers={"authorization": f"Bearer {TOKEN}"})
    paths = {path.replace("{number}", "1") for path in described.json()["paths"]}
    assert paths - {"/api/login"} <= {path.partition("?")[0] for _, path in EVERY_PATH}


def test_the_token_opens(guarded: TestClient) -> None:
    answer = guarded.get("/api/studies", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.json() == {"studies": [], "next": None}


def test_a_browser_gets_a_cookie_for_it_that_no_script_reads(guarded: TestClient) -> None:
    assert guarded.get("/").status_code == 200
    assert guarded.post("/api/login", json={"token": "wrong"}).status_code == 401
    assert guarded.get("/api/studies").status_code == 401
    given = guarded.post("/api/login", json={"token": TOKEN})
    assert given.status_code == 204
    cookie = given.headers["set-cookie"]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert guarded.get("/api/studies").status_code == 200
    assert guarded.post("/api/logout").status_code == 204
    assert guarded.get("/api/studies").status_code == 401


def test_the_cookie_goes_over_tls_alone_where_there_is_tls(place: Place, store: Store) -> None:
    client = asking(place, store, Access(TOKEN, loopback=False, is_tls=True))
    assert "Secure" in client.post("/api/login", json={"token": TOKEN}).headers["set-cookie"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8712", "localhost:80", "[::1]:8712"])
def test_this_machine_may_ask(idle: TestClient, host: str) -> None:
    assert idle.get("/api/studies", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8712", "127.0.0.1.evil.example", "", "[::2]", "192.0.2.1"],
)
def test_a_name_that_leads_here_may_not(idle: TestClient, host: str) -> None:
    for path in ("/", "/api/studies"):
        assert idle.get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(idle: TestClient, headers: dict[str, str]) -> None:
    for path in ("/api/studies", "/api/studies/1/cancel", "/api/login", "/api/networks?name=a.py"):
        assert idle.post(path, headers=headers, json={}).status_code == 403


def test_our_own_page_may(idle: TestClient) -> None:
    headers = {"origin": HERE, "sec-fetch-site": "same-origin"}
    assert idle.post("/api/studies/1/cancel", headers=headers).status_code == 404


def test_every_answer_says_what_a_browser_may_do_with_it(idle: TestClient) -> None:
    answers = [
        idle.get("/"),
        idle.get("/page.js"),
        idle.get("/api/studies"),
        idle.get("/api/studies/9"),
        idle.get("/nothing"),
        idle.get("/", headers={"host": "evil.example"}),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_too_large_is_refused_whether_it_says_so_or_not(idle: TestClient) -> None:
    for body in (b" " * (5 << 20), iter([b" " * (1 << 20)] * 5)):
        answer = idle.post(
            "/api/studies", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413


@pytest.mark.parametrize("length", ["-5", "1e9", "9" * 30, "²"])
def test_odd_lengths_harm_nobody(idle: TestClient, length: str) -> None:
    headers = {"content-length": length.encode("latin-1", "replace"), "content-type": "text/plain"}
    answer = idle.request("POST", "/api/studies", headers=headers)
    assert answer.status_code in (400, 422)


def test_a_defect_is_told_to_the_log_without_passwords(place: Place, store: Store) -> None:
    told: list[str] = []
    service = service_in(place, store, Access())
    app = create_app(service, say=lambda _: None, complain=told.append)
    client = TestClient(app, base_url=HERE, raise_server_exceptions=False)

    def broken() -> list[str]:
        raise RuntimeError("postgresql://me:hunter2@host/db")

    object.__setattr__(service, "networks", type("Broken", (), {"names": staticmethod(broken)}))
    answer = client.get("/api/networks")
    assert answer.status_code == 500
    assert answer.json() == {"error": "the service failed where it should not; its log says how"}
    (text,) = told
    assert "RuntimeError" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["::", "192.168.0.2", "example.org", "", "localhost."])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_other_addresses_take_a_token_that_cannot_be_guessed() -> None:
    with pytest.raises(ServiceError, match="--token-file"):
        Access(None, loopback=False)
    with pytest.raises(ServiceError, match="16 characters"):
        Access("short", loopback=True)


def test_the_page_asks_nobody_else(idle: TestClient) -> None:
    page = Path(__file__).parents[2] / "autosched" / "service" / "page"
    for path in page.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text
        assert "innerHTML" not in text
    assert "<style" not in idle.get("/").text
    assert not re.search(r"\son\w+=|\sstyle=|<script>", idle.get("/").text)


def test_a_request_is_told_in_one_line(place: Place, store: Store) -> None:
    told: list[str] = []
    app = create_app(service_in(place, store, Access()), say=told.append, complain=pytest.fail)
    client = TestClient(app, base_url=HERE)
    client.get("/api/studies/9%0Aforged%1b[31m?limit=1")
    (line,) = told
    assert line.startswith("testclient GET /api/studies/9%0Aforged%1b[31m 422 ")
