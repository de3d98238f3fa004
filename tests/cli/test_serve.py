"""The service as it is typed: real searches of a real network, signals, and what it refuses."""

import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from autosched.export.loading import load_schedule
from tests.cli.conftest import Invoke, command
from tests.examples.browser import Browser, found_browser

TOKEN = "a-token-of-some-length-0123456789"  # noqa: S105 - of the test
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - what takes a token
PATIENCE_S = 240.0


@dataclass
class Running:
    """A service in a process of its own."""

    process: subprocess.Popen[str]
    url: str

    def ask(self, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(  # noqa: S310 - our own address
            f"{self.url}{path}", data, {"content-type": "application/json", **headers}
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - the same
            text = answer.read().decode()
            return json.loads(text) if "json" in answer.headers["content-type"] else text

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out


Serve = Callable[..., Running]


@pytest.fixture
def serve(tmp_path: Path, tiny: Path) -> Iterator[Serve]:
    """Start services on one database, whose network files are those of the small network."""
    running: list[Running] = []

    def started(*more: str, **environment: str) -> Running:
        words = command(
            "serve", "--networks", str(tiny.parent), "--board", "n150", "--port", "0",
            "--storage", f"sqlite:///{tmp_path}/store.sqlite3", *more,
        )  # fmt: skip
        process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "200", "PYTHONUNBUFFERED": "1", **environment},
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving at http"), line + process.stdout.read()
        found = Running(process, line.split()[-1].rstrip("/").replace(ANY_ADDRESS, "127.0.0.1"))
        running.append(found)
        awaited(lambda: answers(found))
        return found

    yield started
    for service in running:
        service.process.kill()
        service.process.communicate()


def answers(service: Running) -> bool:
    try:
        service.ask("/page.css")
    except HTTPError:
        return True
    except OSError:
        return False
    return True


def awaited(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
    return found


def test_a_study_is_searched_and_its_schedule_fetched(serve: Serve, tmp_path: Path) -> None:
    service = serve("--verbose")
    asked = {"network": "tiny.py", "options": {"effort": "quick", "trials": 2, "device": "mock"}}
    entry = service.ask("/api/studies", asked)
    path = f"/api/studies/{entry['id']}"
    events = service.ask(f"{path}/events")
    assert events.count("event: trial") >= 2
    assert events.rstrip().endswith('data: {"state": "finished"}')
    found = service.ask(path)
    assert (found["state"], found["best"]["latency_kind"]) == ("finished", "estimated")
    assert found["bound"]["bound_us"] <= found["best"]["latency_us"] * 1.000001
    assert found["layers"]
    (tmp_path / "best.json").write_text(json.dumps(service.ask(f"{path}/schedule.json")))
    schedule = load_schedule(tmp_path / "best.json")
    assert schedule.provenance.study == entry["study"]
    (tmp_path / "best.py").write_text(service.ask(f"{path}/schedule.py"))
    assert load_schedule(tmp_path / "best.py", safe=True) == schedule
    code, out = service.end(signal.SIGINT)
    assert code == 0, out
    assert "POST /api/studies 201" in out
    assert out.rstrip().endswith("goes on with the next start.")


@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_restart_goes_on_with_what_ran_and_what_waited(serve: Serve, how: signal.Signals) -> None:
    service = serve()
    options = {"effort": "quick", "device": "mock", "sampler": "mutation", "trials": 5000}
    first = service.ask("/api/studies", {"network": "tiny.py", "options": options})
    second = service.ask(
        "/api/studies", {"network": "tiny.py", "options": {**options, "trials": 3}}
    )
    path = f"/api/studies/{first['id']}"
    ran = awaited(lambda: service.ask(path)["trials"])
    pid = service.ask("/api/workers")["runners"][0]["process"]
    code, out = service.end(how)
    assert code == (-how if how is signal.SIGKILL else 0), out
    awaited(lambda: not Path(f"/proc/{pid}").exists())
    again = serve()
    awaited(lambda: again.ask(path)["state"] == "running")
    assert again.ask(path)["study"] == first["study"]
    awaited(lambda: again.ask(path)["trials"] > ran + 5)
    again.ask(f"{path}/cancel", {})
    awaited(lambda: again.ask(path)["state"] == "cancelled")
    stored = again.ask(f"{path}/curve")["points"]
    assert [point["trial"] for point in stored] == list(range(len(stored)))
    other = f"/api/studies/{second['id']}"
    awaited(lambda: again.ask(other)["state"] == "finished")
    assert again.ask(other)["trials"] == 3
    assert again.end()[0] == 0


@pytest.mark.soak
def test_a_browser_sees_the_curve_move_and_cancels(serve: Serve, tmp_path: Path) -> None:
    program = found_browser()
    if program is None:
        pytest.skip("needs a browser: chromium")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    service = serve("--token-file", str(tmp_path / "token"))
    with Browser(program, tmp_path / "profile") as browser:
        browser.open(service.url, 1280, 900)

        def shown(expression: str) -> Any:
            return awaited(lambda: browser.evaluate(expression))

        shown("!document.getElementById('login').hidden")
        fill = "(form => {{ {} form.requestSubmit(); }})(document.getElementById('{}'))"
        browser.evaluate(fill.format(f"form.token.value = '{TOKEN}';", "login-form"))
        shown("!document.getElementById('inside').hidden")
        assert browser.evaluate("document.cookie") == ""
        chosen = (
            "form.device.value = 'mock'; form.effort.value = 'quick'; "
            "form.sampler.value = 'mutation'; form.trials.value = 100000; "
        )
        browser.evaluate(fill.format(chosen, "submit-form"))
        drawn = "Number(document.querySelector('#curve svg')?.dataset.trials || 0)"
        first = shown(drawn)
        shown(f"{drawn} > {first} + 5")
        legend = "document.getElementById('legend').textContent"
        shown(f"/bound: [\\d.,]+ µs \\(estimated\\)/.test({legend})")
        assert "(estimated)" in browser.evaluate(legend)
        assert browser.evaluate("document.querySelectorAll('#layers tbody tr').length") > 0
        browser.evaluate("document.getElementById('cancel').click()")
        shown("document.getElementById('study-name').textContent.endsWith('cancelled')")
        before = browser.evaluate(drawn)
        for width in (1280, 390):
            browser.open(service.url, width, 800, dark=width == 390)
            shown("document.querySelectorAll('#studies tbody tr').length")
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
        browser.evaluate("location.hash = '#1'")
        assert shown(drawn) >= before
        told = browser.told("Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        errors = [
            item["entry"]
            for item in browser.told("Log.entryAdded")
            if item["entry"]["level"] in ("warning", "error")
        ]
        assert (told, errors) == ([], [])
        asked = [item["request"]["url"] for item in browser.told("Network.requestWillBeSent")]
        assert {url.startswith(f"{service.url}/") for url in asked} == {True}
    assert service.end()[0] == 0


def test_other_addresses_take_a_token_that_searches_do_not_see(serve: Serve) -> None:
    service = serve("--host", ANY_ADDRESS, AUTOSCHED_TOKEN=TOKEN)
    with pytest.raises(HTTPError, match="401"):
        service.ask("/api/studies")
    found = service.ask("/api/studies", authorization=f"Bearer {TOKEN}")
    assert found == {"studies": [], "next": None}
    assert service.end()[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--networks DIR"),
        (["--networks", "nowhere"], "no such directory"),
        (["--networks", ".", "--host", ANY_ADDRESS], "--token-file"),
        (["--networks", ".", "--token-file", "none"], "--token-file none cannot be read"),
        (["--networks", ".", "--token-file", "short"], "16 characters"),
        (["--networks", ".", "--board", "n999"], "unknown board"),
        (["--networks", ".", "--host", "256.0.0.1", "--token-file", "good"], "cannot be listened"),
        (["--networks", ".", "--tls-key", "short"], "go together"),
        (
            ["--networks", ".", "--tls-key", "short", "--tls-certificate", "short", "--port", "0"],
            "certificate",
        ),
    ],
)
def test_what_cannot_be_served_is_said(
    invoke: Invoke, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "short").write_text("short")
    (tmp_path / "good").write_text(TOKEN)
    done = invoke("serve", *words, "--storage", "sqlite:///a.sqlite3")
    assert done.code == 2, done.out + done.err
    assert said in done.err


def test_what_keeps_it_from_starting_is_said_without_a_traceback(
    invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "a.sqlite3.service").write_text("")
    done = invoke(
        "serve", "--networks", ".", "--storage", "sqlite:///a.sqlite3", "--port", "0",
        "--directory", "files",
    )  # fmt: skip
    assert done.code == 2
    assert "a.sqlite3.service: cannot be written beside the database" in done.err
    assert "Traceback" not in done.err + done.out


def test_a_port_that_is_taken_is_said(serve: Serve, invoke: Invoke) -> None:
    port = serve().url.rpartition(":")[2]
    done = invoke("serve", "--networks", ".", "--port", port, "--storage", "sqlite:///a.sqlite3")
    assert done.code == 2
    assert f"127.0.0.1:{port} cannot be listened at" in done.err


def test_without_its_packages_it_says_how_to_get_them(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "uvicorn" else found(name, *rest),
    )
    done = invoke("serve", "--networks", ".")
    assert done.code == 2
    assert "pip install 'autosched[service]'" in done.err
