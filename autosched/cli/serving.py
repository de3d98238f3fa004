"""``autosched serve``: studies submitted, watched and fetched over HTTP."""

from typing import Annotated

import typer

from autosched.cli import options

SERVE_EXAMPLES = (
    "autosched serve --networks studies",
    "autosched serve --networks studies --board n150 --board p150 --port 8800",
    "autosched serve --networks studies --host 0.0.0.0 --token-file token.txt",
)
DEFAULT_PORT = 8712
_LONGEST_TOKEN = 1000


def serve_http(  # noqa: PLR0913 - one parameter per option
    *,
    networks: Annotated[
        list[str] | None,
        typer.Option(
            "--networks",
            metavar="DIR",
            help="Directory whose network files may be submitted, which executes them; may be "
            "given several times. Without it none may.",
        ),
    ] = None,
    board: Annotated[
        list[str] | None,
        typer.Option(
            "--board",
            metavar="NAME",
            help="Board to run studies for, one at a time; may be given several times. Default: "
            "the card that is there, else n150.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen at; any but this machine's takes a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0: any that is free.")
    ] = DEFAULT_PORT,
    token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="File with the token that every request has to bring; also AUTOSCHED_TOKEN.",
        ),
    ] = None,
    allow_upload: Annotated[
        bool,
        typer.Option(
            "--allow-upload", help="Take network files, too: whoever may ask runs programs here."
        ),
    ] = False,
    directory: Annotated[
        str | None,
        typer.Option(
            "--directory",
            metavar="DIR",
            help="Where its files are: uploads, and what searches say. Default: beside the "
            "database.",
        ),
    ] = None,
    tls_certificate: Annotated[
        str | None,
        typer.Option("--tls-certificate", metavar="FILE", help="Certificate (PEM), for https."),
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option("--tls-key", metavar="FILE", help="Its private key (PEM).")
    ] = None,
    cluster: options.Cluster = None,
    storage: options.Storage = None,
) -> None:
    """Serve a page and a JSON API: studies are submitted, wait their turn, and are followed.

    Each board has one study at a time, in the order they came. Ctrl-C or SIGTERM has what runs
    store what is finished; the next start goes on with it. Network files are executed, those below
    --networks alone. The API describes itself at /api/openapi.json.
    """
    import importlib.util

    from autosched import __version__
    from autosched.cli import exits
    from autosched.errors import ServiceError

    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise ServiceError(
            f"autosched serve needs {' and '.join(missing)}; run `pip install 'autosched[service]'`"
        )
    from autosched.service.server import ServeRequest, serve_studies

    asked = ServeRequest(
        tuple(networks or ()),
        tuple(board or ()),
        host,
        port,
        _token(token_file),
        allow_upload,
        directory,
        tls_certificate,
        tls_key,
        storage,
        __version__,
        cluster,
    )
    serve_studies(asked)
    # The server had the signals to itself.
    exits.install()


def _token(file: str | None) -> str | None:
    """Return the token of a file, or of the environment, which searches do not inherit."""
    import os
    from pathlib import Path

    from autosched.errors import ServiceError

    named = os.environ.pop("AUTOSCHED_TOKEN", None)
    if file is None:
        return named
    try:
        with Path(file).open(encoding="utf-8") as opened:
            text = opened.read(_LONGEST_TOKEN + 2).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(f"--token-file {file} cannot be read: {error}") from None
    if not text or len(text) > _LONGEST_TOKEN:
        raise ServiceError(f"--token-file {file}: there is no token in it, or too long a one")
    return text
