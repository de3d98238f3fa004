"""Probes say which revision of the lowering answered them; of older ones nobody knows.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to 0002."""
    op.add_column(
        "autosched_probe",
        sa.Column("revision", sa.String(64), nullable=False, server_default=""),
    )


def downgrade() -> None:
    """Bring the schema back to 0001."""
    with op.batch_alter_table("autosched_probe") as batch:
        batch.drop_column("revision")
