"""A study as one HTML file that needs nothing else: no network, no other file.

What others named (studies, layers, ttnn's words) is escaped by the template, and control
characters in it are shown as escapes.
"""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from autosched.errors import StudyError
from autosched.files import check_name, replace_file
from autosched.report.output import printable
from autosched.report.page.contents import contents
from autosched.report.page.headline import PageSource

_MARK = '<meta name="generator" content="autosched report">'
_TEMPLATE = Path(__file__).with_name("page.html")
_ENDINGS = (".html", ".htm")
_LOOKED_AT = 4096


def render_page(source: PageSource) -> str:
    """Return the page of a study."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    shown = contents(source)
    # Nothing in a script's text is escaped: what could end it is written otherwise.
    data = json.dumps(shown["facts"], allow_nan=False).replace("<", "\\u003c")
    return template.render(**shown, mark=Markup(_MARK), data=Markup(data))  # noqa: S704 - see above


def _clean(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def check_report_target(path: Path, *, force: bool = False) -> None:
    """Check a place for a page before the work that leads to it.

    Raises:
        StudyError: for another ending than .html, a missing directory, or, without ``force``, a
            file that is no such page.
    """
    if path.suffix not in _ENDINGS:
        raise StudyError(f"{path}: a report is an .html file; name it so")
    if not path.parent.is_dir():
        raise StudyError(f"{path}: there is no directory {path.parent}; create it first")
    try:
        check_name(path)
    except OSError as error:
        raise StudyError(f"{path}: no file can have this name: {error.strerror}") from None
    if path.is_dir():
        raise StudyError(f"{path}: this is a directory; name a file")
    if path.exists() and not force and not _is_page(path):
        raise StudyError(
            f"{path}: this file is there and is no report of autosched's; name another, or replace "
            "it with --force"
        )


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    return not start or _MARK.encode() in start


def save_page(source: PageSource, path: Path) -> int:
    """Write the page of a study, whole or not at all; return its size in bytes.

    Raises:
        StudyError: if it cannot be written.
    """
    content = render_page(source).encode()
    try:
        replace_file(path, content)
    except OSError as error:
        raise StudyError(
            f"{path}: cannot be written: {error.strerror}. Name another place with -o."
        ) from None
    return len(content)
