"""The service in its process: bound to an address, and ended by a signal; nothing is lost."""

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from autosched.cluster.addresses import is_loopback
from autosched.cluster.workplace import need_cluster_packages
from autosched.device.which_board import wanted_board
from autosched.errors import ServiceError
from autosched.files import private_directory
from autosched.report.output import Screen, note, opened_output, say
from autosched.service.app import create_app
from autosched.service.asking import AllowedNetworks
from autosched.service.bounds import BoundKeeper
from autosched.service.guard import Access
from autosched.service.queue import Queue, Service
from autosched.service.search_files import default_directory
from autosched.service.search_process import SEARCH
from autosched.store.database import Store, open_writable

_MOST_BOARDS = 16
_CLOSING_S = 3
_MOST_AT_ONCE = 256
_KEEP_ALIVE_S = 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 is any that is free.

    Raises:
        ServiceError: if that is not possible.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        made = socket.create_server(address, family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ServiceError(
            f"{host}:{port} cannot be listened at: {why}. Name another --host or --port"
        ) from None
    return made


class _Server(uvicorn.Server):
    """Uvicorn's server, which tells the queue of a signal before it closes its connections."""

    def __init__(self, config: uvicorn.Config, on_signal: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_signal = on_signal

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals as long as it serves; what was taken is not raised again."""
        loop = asyncio.get_running_loop()
        # What the caller of the program ignores (nohup) stays ignored.
        taken = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in taken:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in taken:
                loop.remove_signal_handler(number)

    def _signalled(self) -> None:
        self.should_exit = True
        self._on_signal()


def serve_app(
    app: Any,
    listening: socket.socket,
    on_signal: Callable[[], None],
    certificate: str | None = None,
    key: str | None = None,
) -> None:
    """Answer until a signal; return when all that was begun has ended.

    Raises:
        ServiceError: if the certificate cannot be used.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # what there is to say of requests is said by our own guard
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=_CLOSING_S,
        timeout_keep_alive=_KEEP_ALIVE_S,
        limit_concurrency=_MOST_AT_ONCE,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    server = _Server(config, on_signal)
    try:
        server.run(sockets=[listening])
    except (ssl.SSLError, OSError) as error:
        raise ServiceError(f"the certificate or its key cannot be used: {error}") from None
    except SystemExit:
        # The way uvicorn ends where the application does not start; that has noted why.
        if server.started:
            raise


@dataclass(frozen=True)
class ServeRequest:
    """What was typed; ``token`` and the certificate's files are None where there is none."""

    networks: tuple[str, ...]
    boards: tuple[str, ...]
    host: str
    port: int
    token: str | None
    allow_upload: bool
    directory: str | None
    tls_certificate: str | None
    tls_key: str | None
    storage: str | None
    version: str
    cluster: str | None = None


def serve_studies(asked: ServeRequest) -> None:
    """Serve until a signal.

    Raises:
        AutoschedError: for everything the user can put right.
    """
    if not asked.networks and not asked.allow_upload:
        raise ServiceError(
            "nothing could be submitted: name the directories whose network files may be, which "
            "executes them, with --networks DIR"
        )
    if (asked.tls_certificate is None) != (asked.tls_key is None):
        raise ServiceError("--tls-certificate and --tls-key go together")
    with opened_output(as_json=False) as output, open_writable(asked.storage) as store:
        _serve(output, asked, store)


def _serve(output: Screen, asked: ServeRequest, store: Store) -> None:
    access = Access(asked.token, is_loopback(asked.host), asked.tls_key is not None)
    boards = _boards(asked.boards)
    console = output.console
    directory = default_directory(store) if asked.directory is None else Path(asked.directory)
    try:
        directory = private_directory(directory).resolve()
        uploads = private_directory(directory / "uploads") if asked.allow_upload else None
    except OSError as error:
        raise ServiceError(
            f"{directory}: cannot be the service's directory: {error.strerror}. Name another with "
            "--directory"
        ) from None
    networks = AllowedNetworks.below(asked.networks, uploads)
    with ExitStack() as opened:
        watch = None
        if asked.cluster is not None:
            need_cluster_packages()
            from autosched.cluster.connection import ClusterWatch  # noqa: PLC0415 - loads Dask

            watch = opened.enter_context(closing(ClusterWatch(asked.cluster)))
        queue = Queue(
            *(store, networks, directory, boards, SEARCH),
            cluster=asked.cluster,
            say=lambda text: say(console, text),
        )
        bounds = BoundKeeper(store.url, say=lambda text: note(console, text))
        service = Service(store, networks, queue, bounds, access, asked.version, watch)
        listening = opened.enter_context(closing(bound_socket(asked.host, asked.port)))
        app = create_app(
            service,
            say=lambda text: note(console, text),
            complain=lambda text: say(console, text, "red"),
        )
        _introduce(output, asked, service.store, boards, listening.getsockname()[1])
        serve_app(app, listening, queue.ask_to_stop, asked.tls_certificate, asked.tls_key)
        if service.failures:
            raise service.failures[0]
    say(output.console, "Ended; what ran or waited goes on with the next start.")


def _introduce(
    output: Screen, asked: ServeRequest, store: Store, boards: tuple[str, ...], port: int
) -> None:
    scheme = "http" if asked.tls_key is None else "https"
    host = f"[{asked.host}]" if ":" in asked.host else asked.host
    say(output.console, f"Serving at {scheme}://{host}:{port}/", "bold")
    say(output.console, f"Database: {store.describe()}")
    say(output.console, f"Boards: {', '.join(boards)}, one study at a time each")
    if asked.cluster is not None:
        say(output.console, f"Searches run on the cluster at {asked.cluster}")
    for name in asked.networks:
        say(output.console, f"Network files below {Path(name).resolve()} may be executed")
    if asked.allow_upload:
        say(output.console, "Uploaded network files may be executed", "yellow")
    say(output.console, "Ctrl-C ends it, and loses nothing")


def _boards(named: tuple[str, ...]) -> tuple[str, ...]:
    found = dict.fromkeys(wanted_board(name, "auto").name for name in named or (None,))
    if len(found) > _MOST_BOARDS:
        raise ServiceError(f"a service has {_MOST_BOARDS} boards at most")
    return tuple(found)
