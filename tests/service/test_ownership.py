import os
import subprocess
import sys
from pathlib import Path

import pytest

from autosched.errors import StoreError
from autosched.service.ownership import Ownership, host_name
from autosched.store.database import open_store
from tests.service.conftest import Place, awaited

HOLDS = """
import sys, time
from autosched.service.ownership import Ownership
from autosched.store.database import open_store
with open_store(sys.argv[1]) as store:
    mine = Ownership(store)
    mine.take()
    print(mine.name, flush=True)
    time.sleep(300)
"""


def test_who_lives_is_told_from_who_does_not(either_place: Place) -> None:
    with open_store(either_place.url) as store:
        mine, other = Ownership(store), Ownership(store)
        mine.take()
        other.take()
        assert mine.name != other.name
        assert mine.name.startswith(host_name())
        assert not other.is_gone(mine.name)
        assert not mine.is_gone(mine.name)
        other.close()
        # A server notices a moment later that a connection has ended.
        awaited(lambda: mine.is_gone(other.name))
        assert mine.is_gone("nobody.1.abc")
        mine.keep()
        mine.close()


def test_who_is_killed_is_gone_at_once(either_place: Place) -> None:
    with open_store(either_place.url) as store:
        mine = Ownership(store)
        mine.take()
        victim = subprocess.Popen(
            [sys.executable, "-c", HOLDS, either_place.url], stdout=subprocess.PIPE, text=True
        )
        assert victim.stdout is not None
        name = victim.stdout.readline().strip()
        try:
            assert not mine.is_gone(name)
        finally:
            victim.kill()
            victim.communicate()
        awaited(lambda: mine.is_gone(name))
        mine.close()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "x" * 300, "a\nb"])
def test_a_name_in_the_database_leads_to_no_other_file(place: Place, name: str) -> None:
    with open_store(place.url) as store:
        assert Ownership(store).is_gone(name)


def test_a_lost_connection_is_made_again(place: Place, postgresql_url: str) -> None:
    with open_store(postgresql_url) as store:
        mine, other = Ownership(store), Ownership(store)
        mine.take()
        with store.connection("BEGIN") as connection:
            ended = connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            )
            assert ended.scalars().all() == [True]
        awaited(lambda: other.is_gone(mine.name))
        mine.keep()
        assert not other.is_gone(mine.name)
        mine.close()
    assert place.url != postgresql_url


def test_a_lock_that_another_has_is_not_taken(place: Place, postgresql_url: str) -> None:
    with open_store(postgresql_url) as store:
        mine, other = Ownership(store), Ownership(store)
        other.name = mine.name
        mine.take()
        with pytest.raises(StoreError, match="is taken"):
            other.take()
        other.close()
        mine.close()
    assert place.url != postgresql_url


def test_files_of_locks_are_removed(place: Place) -> None:
    with open_store(place.url) as store:
        mine = Ownership(store)
        mine.take()
        (file,) = Path(f"{place.url.removeprefix('sqlite:///')}.service").iterdir()
        assert file.stat().st_mode & 0o077 == 0
        assert mine.descriptor is not None
        assert os.fstat(mine.descriptor).st_ino == file.stat().st_ino
        mine.close()
        assert not file.exists()
