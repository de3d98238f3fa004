"""Which schedulers are safe to talk to.

Dask sends pickled Python: whoever reaches a scheduler can have its workers execute anything. So it
is talked to through TLS, or on this machine alone.
"""

import ipaddress
import logging
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from autosched.errors import ClusterError

_KNOCK_S = 5.0
_PROTOCOLS = ("tcp", "tls")
_TLS_HELP = (
    "use tls://, with certificates in Dask's configuration (distributed.comm.tls: ca-file, and "
    "cert and key of client, scheduler and worker; "
    "https://distributed.dask.org/en/stable/tls.html), or a tunnel to this machine (ssh -L)"
)


def checked_address(address: str) -> str:
    """Return the address of a scheduler if it may be talked to.

    Raises:
        ClusterError: if it is none (tcp://HOST:PORT or tls://HOST:PORT), or neither uses TLS nor
            stays on this machine.
    """
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.scheme not in _PROTOCOLS or parts.path.strip("/"):
        raise ClusterError(
            f"{address!r} is no address of a Dask scheduler; it is tcp://HOST:PORT or "
            "tls://HOST:PORT, as dask scheduler prints it"
        )
    if parts.scheme == "tcp" and not is_loopback(host):
        raise ClusterError(
            f"{address} is another machine, and tcp:// is open to whoever is between: Dask sends "
            f"pickled Python; {_TLS_HELP}"
        )
    return f"{parts.scheme}://{_bracketed(host)}:{port}"


def check_certificates(address: str, role: str) -> None:
    """Refuse to use TLS without its files; ``role`` is "client" or "worker".

    Raises:
        ClusterError: if Dask's configuration names none, or one that is not there.
    """
    if not address.startswith("tls://"):
        return
    import dask.config  # noqa: PLC0415 - what has no cluster does without
    import distributed.config  # noqa: F401, PLC0415 - brings what the environment says of it

    for name in ("ca-file", f"{role}.cert"):
        file = dask.config.get(f"distributed.comm.tls.{name}", None)
        if not file:
            raise ClusterError(
                f"{address} uses TLS, and Dask's configuration names no "
                f"distributed.comm.tls.{name}; in the environment it is {_variable(name)}"
            )
        if not Path(file).is_file():
            raise ClusterError(
                f"{file}, which Dask's configuration names as distributed.comm.tls.{name}, is not "
                "there"
            )


def _variable(name: str) -> str:
    words = ("distributed", "comm", "tls", *name.split("."))
    return "DASK_" + "__".join(word.replace("-", "_").upper() for word in words)


def check_listening(asked: str, said: str) -> None:
    """Refuse a scheduler that listens to other machines without TLS, asked at a loopback address.

    ``said`` is the address by which it knows itself: that of a network where it listens to all.

    Raises:
        ClusterError: if it does.
    """
    parts = urlsplit(said)
    if parts.scheme == "tcp" and not is_loopback(parts.hostname or ""):
        raise ClusterError(
            f"the scheduler at {asked} listens to other machines without TLS (it calls itself "
            f"{said}): whoever reaches it can have its workers execute anything; start it with "
            f"dask scheduler --host 127.0.0.1, or {_TLS_HELP}"
        )


def look_for(address: str) -> None:
    """Knock at a checked address: where nobody listens, Dask would try for many seconds.

    Raises:
        OSError: if nobody listens there.
    """
    parts = urlsplit(address)
    socket.create_connection((parts.hostname or "", parts.port or 0), _KNOCK_S).close()


def is_loopback(host: str) -> bool:
    """Whether a host is this machine as it is reached by itself alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_to_listen_at(address: str) -> str | None:
    """Return where a worker of a checked scheduler listens: without TLS, to this machine alone.

    None: at the interface that leads to the scheduler.
    """
    return "tcp://127.0.0.1" if address.startswith("tcp://") else None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def quiet_logs() -> None:
    """Keep what Dask logs of a connection off the screen: what matters is said by us."""
    for name in ("distributed", "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def words_of(error: BaseException) -> str:
    """Return what an error of a connection says, in one line."""
    cause: Any = error.__cause__ or error
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__
