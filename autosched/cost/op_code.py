"""Names of device ops, which releases spell differently."""

import re
from functools import lru_cache

from autosched.cost.attributes import word

_SUFFIX = re.compile(r"(?:DeviceOperation|Operation|Op)$")


@lru_cache(maxsize=4096)
def plain_code(code: str) -> str:
    """Return an op code without namespace and suffix, in lower case."""
    return _SUFFIX.sub("", word(code).strip()).lower()
