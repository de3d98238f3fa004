"""Boards are named by their grid of today: p150 had 13x10 cores, n300 was used with 8x7.

Since then p150 has 11x10 and n300 8x8; what was found on the former grids stays theirs.

Revision 0004, after 0003.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = ("autosched_probe", "autosched_study")
_NAMES = (("p150", "p150-140"), ("n300", "n300-worker"))


def upgrade() -> None:
    """Bring the schema to 0004."""
    _rename(_NAMES)


def downgrade() -> None:
    """Bring the schema back to 0003; there is no name in it for the boards of today's grids."""
    _rename([(new, old) for old, new in _NAMES])


def _rename(pairs: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> None:
    for table in _TABLES:
        for before, after in pairs:
            op.execute(f"UPDATE {table} SET board = '{after}' WHERE board = '{before}'")  # noqa: S608
