"""The layers of the networks that studies are of.

Revision 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to 0008."""
    op.create_table(
        "autosched_network",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("signature", sa.String(64), nullable=False),
        sa.Column("layers", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_autosched_network"),
        sa.UniqueConstraint("signature", name="uq_autosched_network_key"),
    )


def downgrade() -> None:
    """Bring the schema back to 0007."""
    op.drop_table("autosched_network")
