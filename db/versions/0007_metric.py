"""The user's own figure of a schedule's outputs.

Revision 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to 0007."""
    op.add_column("autosched_verification", sa.Column("metric", sa.Double(), nullable=True))


def downgrade() -> None:
    """Bring the schema back to 0006."""
    with op.batch_alter_table("autosched_verification") as table:
        table.drop_column("metric")
