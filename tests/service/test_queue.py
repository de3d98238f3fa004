import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autosched.service.queue import Queue
from autosched.service.submissions import (
    ask_to_cancel,
    claim_next,
    find_submission,
    list_submissions,
    take_back,
)
from autosched.store.database import Store, open_store
from tests.service.conftest import DONE, EXECUTING, Place, awaited, ended, state_of

WAITS = """
import signal, sys, time
from pathlib import Path
def leave(number, frame):
    with open({ends!r}, "a") as file:
        file.write(f"{{number}} ")
    sys.exit(130)
signal.signal(signal.SIGINT, leave)
Path({begins!r}).write_text(" ".join(sys.argv[1:]))
time.sleep(100)
"""
STUBBORN = """
import os, signal, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
Path({begins!r}).write_text(str(os.getpid()))
time.sleep(100)
"""


@contextmanager
def at_work(queue: Queue) -> Iterator[Queue]:
    queue.start()
    try:
        yield queue
    finally:
        queue.ask_to_stop()
        queue.stop()


def waiting_text(place: Place, name: str) -> str:
    begins, ends = place.nets / f"{name}.begun", place.nets / f"{name}.ended"
    return WAITS.format(begins=str(begins), ends=str(ends))


def is_there(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def test_studies_of_a_board_wait_their_turn(place: Place, store: Store) -> None:
    log = place.nets / "log"
    text = f'with open({str(log)!r}, "a") as file:\n    file.write("%d ")\n'
    numbers = [place.submitted(store, f"n{i}", text % i + DONE) for i in range(3)]
    with at_work(place.queue(store)):
        found = [ended(store, number) for number in numbers]
    assert log.read_text() == "0 1 2 "
    assert {str(item.status) for item in found} == {"finished"}
    assert found[0].message == "trials run"
    assert found[0].result == {"stopped": "trials run", "trials": 0}
    assert [item.study for item in found] == ["n0-n150-1", "n1-n150-2", "n2-n150-3"]


def test_boards_do_not_wait_for_each_other(place: Place, store: Store) -> None:
    first = place.submitted(store, "long", waiting_text(place, "long"))
    other = place.submitted(store, "short", board="p150")
    with at_work(place.queue(store, "n150", "p150")):
        assert str(ended(store, other).status) == "finished"
        awaited(lambda: state_of(store, first) == "running")


def test_what_waits_is_cancelled_at_once_and_what_runs_stores_first(
    place: Place, store: Store
) -> None:
    running = place.submitted(store, "one", waiting_text(place, "one"))
    waiting = place.submitted(store, "two")
    with at_work(place.queue(store)) as queue:
        awaited((place.nets / "one.begun").exists)
        assert [worker.submission for worker in queue.workers()] == [running]
        cancelled = ask_to_cancel(store, waiting)
        assert cancelled is not None
        assert str(cancelled.status) == "cancelled"
        ask_to_cancel(store, running)
        found = ended(store, running)
    assert str(found.status) == "cancelled"
    assert found.run_s > 0.0
    assert (place.nets / "one.ended").read_text() == f"{int(signal.SIGINT)} "
    assert state_of(store, waiting) == "cancelled"


def test_what_does_not_end_is_killed(place: Place, store: Store) -> None:
    begun = place.nets / "begun"
    number = place.submitted(store, "stubborn", STUBBORN.format(begins=str(begun)))
    with at_work(place.queue(store, grace_s=0.5)):
        pid = int(awaited(lambda: begun.exists() and begun.read_text()))
        ask_to_cancel(store, number)
        assert str(ended(store, number).status) == "cancelled"
    assert not is_there(pid)


@pytest.mark.parametrize("asked", [1, 2])
def test_the_end_of_the_service_is_none_of_its_studies(
    place: Place, store: Store, asked: int
) -> None:
    begun = place.nets / "one.begun"
    number = place.submitted(store, "one", waiting_text(place, "one"), trials=5, timeout_s=60)
    queue = place.queue(store)
    queue.start()
    first = awaited(lambda: begun.exists() and begun.read_text())
    for _ in range(asked):
        queue.ask_to_stop()
    queue.stop()
    found = find_submission(store, number)
    assert found is not None
    assert (str(found.status), found.owner) == ("waiting", None)
    assert "goes on" in found.message
    begun.unlink()
    with at_work(place.queue(store)):
        second = awaited(lambda: begun.exists() and begun.read_text())
        ask_to_cancel(store, number)
        ended(store, number)
    # Of the time limit, what was used is gone.
    words = [text.split() for text in (first, second)]
    assert [set(line) - set(words[0]) for line in words][1].pop().startswith("--timeout=5")
    assert f"--study=one-n150-{number}" in words[0]
    assert f"--study=one-n150-{number}" in words[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('print(\'{"error": "no such layer", "exit_code": 2}\'); raise SystemExit(2)', "no such"),
        ("import sys; print('some words', file=sys.stderr); sys.exit(3)", "code 3: some words"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("print('no object')", "without a result"),
    ],
)
def test_what_fails_says_why(place: Place, store: Store, text: str, message: str) -> None:
    number = place.submitted(store, "bad", text)
    with at_work(place.queue(store)):
        found = ended(store, number)
    assert str(found.status) == "failed"
    assert message in found.message


def test_only_allowed_files_are_executed_even_if_the_database_names_others(
    place: Place, store: Store, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    number = place.submitted(store, "inside")
    (place.nets / "inside.py").unlink()
    (place.nets / "inside.py").symlink_to(outside)
    with at_work(place.queue(store)):
        found = ended(store, number)
    assert str(found.status) == "failed"
    assert "not below the directories" in found.message
    assert not (tmp_path / "ran").exists()


def test_what_another_machine_took_is_left_to_it(place: Place, store: Store) -> None:
    number = place.submitted(store, "far")
    (place.nets / "far.py").unlink()
    with store.writing() as session:
        session.connection().exec_driver_sql("UPDATE autosched_submission SET host = 'elsewhere'")
    near = place.submitted(store, "near")
    with at_work(place.queue(store)):
        assert str(ended(store, near).status) == "finished"
    assert state_of(store, number) == "waiting"


def test_two_services_on_one_database_run_each_study_once(either_place: Place) -> None:
    place, log = either_place, either_place.nets / "log"
    text = (
        f'import sys\nwith open({str(log)!r}, "a") as file:\n    file.write(sys.argv[3] + "\\n")\n'
    )
    with open_store(place.url) as one, open_store(place.url) as other:
        numbers = [place.submitted(one, f"n{i}", text + DONE) for i in range(8)]
        with at_work(place.queue(one)), at_work(place.queue(other)):
            for number in numbers:
                assert str(ended(one, number).status) == "finished"
    ran = log.read_text().split()
    assert len(ran) == len(set(ran)) == 8


def test_of_many_who_claim_one_has_it(either_place: Place) -> None:
    place, had = either_place, []
    with open_store(place.url) as store:
        number = place.submitted(store, "one")
        begin = threading.Barrier(6)

        def claim(owner: str) -> None:
            begin.wait()
            if claim_next(store, "n150", owner, lambda _: True) is not None:
                had.append(owner)

        threads = [threading.Thread(target=claim, args=(f"service{i}",)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = find_submission(store, number)
        assert found is not None
        assert [found.owner] == had


SERVICE = """
import sys, time
from pathlib import Path
from autosched.service.asking import AllowedNetworks
from autosched.service.queue import Queue
from autosched.store.database import open_store
url, nets, directory = sys.argv[1:]
with open_store(url) as store:
    queue = Queue(store, AllowedNetworks.below([nets]), Path(directory), ["n150"], {command!r})
    queue.start()
    time.sleep(300)
"""


def ran_so_far_s(store: Store, number: int) -> float:
    found = find_submission(store, number)
    assert found is not None
    return found.run_s


def limit_s(line: str) -> float:
    """The time limit that a search was started with."""
    (found,) = [word for word in line.split() if word.startswith("--timeout=")]
    return float(found.partition("=")[2].removesuffix("s"))


def test_a_killed_service_takes_its_search_along_and_another_goes_on(either_place: Place) -> None:
    place, begun = either_place, either_place.nets / "begun"
    text = f"import os, sys, time\nopen({str(begun)!r}, 'w').write(str(os.getpid()))\n"
    again = place.nets / "again"
    with open_store(place.url) as store:
        number = place.submitted(store, "one", text + "time.sleep(100)\n", timeout_s=60)
        victim = subprocess.Popen(
            [
                *(sys.executable, "-c", SERVICE.format(command=EXECUTING)),
                *(place.url, str(place.nets), str(place.directory)),
            ]
        )
        try:
            pid = int(awaited(lambda: begun.exists() and begun.read_text()))
            ran_s = awaited(lambda: ran_so_far_s(store, number))
        finally:
            victim.kill()
            victim.wait()
        awaited(lambda: not is_there(pid))
        assert state_of(store, number) == "running"
        kept_s = ran_so_far_s(store, number)
        assert kept_s >= ran_s > 0.0
        place.program(
            "one", f"import sys\nopen({str(again)!r}, 'w').write(' '.join(sys.argv))\n{DONE}"
        )
        with at_work(place.queue(store)):
            found = ended(store, number)
        assert str(found.status) == "finished"
        # What ran before the service was killed is gone of the limit, and counted on from there.
        assert limit_s(again.read_text()) == pytest.approx(60 - kept_s, abs=0.001)
        assert found.run_s > kept_s


def test_what_was_to_be_cancelled_is_not_taken_over(place: Place, store: Store) -> None:
    number = place.submitted(store, "one")
    assert claim_next(store, "n150", "gone", lambda _: True) is not None
    ask_to_cancel(store, number)
    assert take_back(store, "gone") == 1
    assert state_of(store, number) == "cancelled"


def test_what_is_taken_from_a_service_it_runs_no_longer(place: Place, store: Store) -> None:
    begun = place.nets / "one.begun"
    number = place.submitted(store, "one", waiting_text(place, "one"))
    with at_work(place.queue(store)) as queue:
        awaited(begun.exists)
        pid = queue.workers()[0].process
        assert pid is not None
        with store.writing() as session:
            session.connection().exec_driver_sql(
                "UPDATE autosched_submission SET owner = 'another', board = 'none'"
            )
        awaited(lambda: not is_there(pid))
    assert state_of(store, number) == "running"


def test_nobody_on_the_machine_sees_the_database_s_password(
    place: Place, postgresql_url: str
) -> None:
    begun = place.nets / "one.begun"
    with open_store(postgresql_url) as store:
        place.submitted(store, "one", waiting_text(place, "one"))
        with at_work(place.queue(store)) as queue:
            awaited(begun.exists)
            pid = queue.workers()[0].process
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"one.py" in line
        assert b"secret" not in line
        assert os.environ.get("AUTOSCHED_STORAGE") is None


def test_what_searches_said_long_ago_goes_with_the_start_and_each_end(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosched.service.search_files.KEPT_SEARCHES", 2)
    searches = place.queue(store).searches
    numbers = [
        place.submitted(store, f"n{i}", f"import sys; print({i}, file=sys.stderr)\n{DONE}")
        for i in range(4)
    ]
    with at_work(place.queue(store)):
        for number in numbers:
            ended(store, number)
        awaited(lambda: len(list(searches.glob("*.txt"))) == 2)
    assert {file.name: file.read_text() for file in searches.glob("*.txt")} == {
        f"{number}.txt": f"{i}\n" for i, number in enumerate(numbers) if i >= 2
    }
    monkeypatch.setattr("autosched.service.search_files.KEPT_SEARCHES", 1)
    with at_work(place.queue(store)):
        assert [file.name for file in searches.glob("*.txt")] == [f"{numbers[3]}.txt"]


def test_a_list_continues(place: Place, store: Store) -> None:
    numbers = [place.submitted(store, f"n{i}") for i in range(5)]
    first = list_submissions(store, limit=2)
    rest = list_submissions(store, limit=10, before=first[-1].id)
    assert [item.id for item in (*first, *rest)] == numbers[::-1]
