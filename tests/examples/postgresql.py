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


@contextmanager
def running_server(binaries: Path) -> Iterator[str]:
    """URL of a server of our own, on a free port of the loopback interface."""
    # The server refuses to run as root.
    user = _NOBODY if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="autosched-pg-") as text, socket.socket() as probe:
        directory = Path(text)
        if user is not None:
            os.chown(directory, user, -1)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        data = directory / "data"
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory} "
            "-c fsync=off -c shared_buffers=16MB"
        )
        log = directory / "log"

        def run(program: str, *arguments: str) -> None:
            command = [str(binaries / program), "-D", str(data), *arguments]
            subprocess.run(command, check=True, user=user, capture_output=True, cwd=directory)

        run("initdb", "-U", "autosched", "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-w", "-l", str(log), "-o", options, "start")
        try:
            yield f"postgresql://autosched:secret@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
