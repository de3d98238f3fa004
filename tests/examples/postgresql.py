"""A private PostgreSQL server, where its binaries are installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = "PostgreSQL's server binaries (Debian package postgresql)"
_NOBODY = 65534


def server_directory() -> Path | None:
    """Where the server's binaries are, None if it is not installed."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (versions[-1] if versions else None)
    return Path(found).resolve().parent if found else None


class RunningServer:
    """A server of our own on a free port, at the loopback interface unless another is named.

    ``prefix`` is what its programs are started by, ``trusts`` a network from which connections are
    taken as well.
    """

    def __init__(
        self,
        binaries: Path,
        host: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
        trusts: str = "",
    ) -> None:
        self._binaries, self._host, self._prefix, self._trusts = binaries, host, prefix, trusts
        # The server refuses to run as root.
        self._user = _NOBODY if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        return f"postgresql://autosched:secret@{self._host}:{self._port}/postgres"

    def __enter__(self) -> "RunningServer":
        self._temporary = tempfile.TemporaryDirectory(prefix="autosched-pg-")
        self._directory = Path(self._temporary.name)
        if self._user is not None:
            os.chown(self._directory, self._user, -1)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._run("initdb", "-U", "autosched", "-A", "trust", "-E", "UTF8", "--no-sync")
        if self._trusts:
            with (self._directory / "data" / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {self._trusts} trust\n")
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")
        self._temporary.cleanup()

    def restart(self) -> None:
        """Stop it at once, as a crash does, and start it again."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")
        self._start()

    def _start(self) -> None:
        options = (
            f"-p {self._port} -c listen_addresses={self._host} "
            f"-c unix_socket_directories={self._directory} -c fsync=off -c shared_buffers=16MB"
        )
        self._run("pg_ctl", "-w", "-l", str(self._directory / "log"), "-o", options, "start")

    def _run(self, program: str, *arguments: str) -> None:
        data = str(self._directory / "data")
        as_user = {"user": self._user} if not self._prefix else {}
        command = [str(self._binaries / program), "-D", data, *arguments]
        if self._prefix and self._user is not None:  # a namespace is entered by root alone
            command = ["setpriv", f"--reuid={self._user}", "--clear-groups", *command]
        subprocess.run(
            [*self._prefix, *command],
            check=True,
            capture_output=True,
            cwd=self._directory,
            **as_user,
        )


@contextmanager
def running_server(binaries: Path) -> Iterator[str]:
    """URL of a server of our own, on a free port of the loopback interface."""
    with RunningServer(binaries) as server:
        yield server.url
