"""Passwords of database URLs: hidden wherever a URL is printed, refused where they are ambiguous.

Imports nothing heavy, so that the last words of a failing program can use it, too.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, unquote_plus

from autosched.errors import StoreError

HIDDEN = "***"
"""What is shown in place of a password."""

# Up to the last "@" of the word: more may be hidden of a URL that is no good, but never less.
_USERINFO = re.compile(r"(://(?!/)[^\s:]*:)(\S*)(@)")
# A value that holds an "&" goes on until something that looks like the next key.
_QUERY = re.compile(r"([?&])([^\s=&?]+)=((?:(?!&[\w.%+-]+=)[^\s'\"])*)")
# As libpq writes a connection, and Python the arguments of a call.
_KEYWORD = re.compile(
    r"(\b(?:ssl)?password['\"]?\s*[=:]\s*)('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s,;&'\")]+)",
    re.IGNORECASE,
)
_SECRET_KEY = re.compile(r"password|passwd|pwd|secret|token", re.IGNORECASE)
# A URL that is a whole text of its own may hold blanks, too.
_WHOLE_USERINFO = re.compile(r"://(?!/)[^:]*:(.*)@", re.DOTALL)
_WHOLE_QUERY = re.compile(r"[?&]([^=&?]+)=((?:(?!&[\w.%+-]+=).)*)", re.DOTALL)
# As SQLAlchemy takes a URL apart; the user's name, the password, the host and the port.
_PARTS = re.compile(r"[\w+]+://(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?(?P<host>[^/?]*)")
# What ends a URL in a text: what follows would be shown.
_ENDS = re.compile(r"[\s'\"]")
# Replaced wherever it stands, a shorter one would leave little of a text.
_SHORTEST = 3


def hide_passwords(text: str, known: Iterable[str] = ()) -> str:
    """Return a text with the passwords of all URLs in it replaced by ``***``.

    ``known`` passwords (:func:`passwords_in`) are replaced wherever they stand, a very short one
    where it stands as a word.
    """
    for password in sorted(known, key=len, reverse=True):
        sought = re.escape(password)
        word = sought if len(password) >= _SHORTEST else rf"(?<!\w){sought}(?!\w)"
        text = re.sub(word, HIDDEN, text)
    text = _USERINFO.sub(rf"\g<1>{HIDDEN}\g<3>", text)
    text = _QUERY.sub(_without_secret, text)
    return _KEYWORD.sub(rf"\g<1>{HIDDEN}", text)


def passwords_in(url: str) -> set[str]:
    """Return the passwords that a text, as a whole a URL, may hold: as written, and decoded."""
    written = set(_written(url))
    return {form for text in written for form in (text, unquote(text), unquote_plus(text)) if form}


def check_unambiguous(url: str) -> None:
    """Refuse a URL whose user or password is not told from the rest of it, or of a text.

    Raises:
        StoreError: with the way to write it, and without a part of it.
    """
    parts = _PARTS.match(url)
    if parts is None:
        return
    user, password = parts["user"] or "", parts["password"] or ""
    if set("@?#") & set(user) or set("/?#") & set(password) or set("@#") & set(parts["host"]):
        raise StoreError(
            "the database URL is ambiguous: @, /, ? or # in its user or password may as well be "
            "what divides a URL. Write them percent-encoded, @ as %40, / as %2F, ? as %3F and # "
            "as %23: the password p@ss is written p%40ss"
        )
    secrets = (value for key, value in _WHOLE_QUERY.findall(url) if _is_secret(key))
    if any(_ENDS.search(text) for text in (user, password, *secrets)):
        raise StoreError(
            "the database URL has a blank or a quote in its user or password, which ends a URL "
            "wherever it is printed. Write them percent-encoded, a blank as %20, ' as %27 and "
            '" as %22'
        )


def _is_secret(key: str) -> bool:
    return _SECRET_KEY.search(unquote_plus(key)) is not None


def _without_secret(match: re.Match[str]) -> str:
    hides = _is_secret(match[2]) and match[3]
    return f"{match[1]}{match[2]}={HIDDEN}" if hides else match[0]


def _written(url: str) -> Iterator[str]:
    if userinfo := _WHOLE_USERINFO.search(url):
        yield userinfo[1]
    for key, value in _WHOLE_QUERY.findall(url):
        if _is_secret(key):
            yield value
