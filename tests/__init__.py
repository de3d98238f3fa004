"""Tests, in the rooms of what they test."""

import os

from autosched.evidence import table

_TESTING = "AUTOSCHED_TESTING"


def set_shipped_table_aside() -> None:
    """Make searches of this process, and of those it starts, independent of the shipped cases."""
    os.environ[_TESTING] = "1"
    table.SHIPPED_TABLE = table.SHIPPED_TABLE.with_name("none.json")


if _TESTING in os.environ:
    set_shipped_table_aside()
