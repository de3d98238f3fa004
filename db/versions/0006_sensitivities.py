"""What each layer's formats cost the outputs of a network.

Revision 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to 0006."""
    op.create_table(
        "autosched_sensitivity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("layer", sa.String(255), nullable=False),
        sa.Column("errors", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_autosched_sensitivity"),
        sa.UniqueConstraint("subject", "layer", name="uq_autosched_sensitivity_key"),
    )


def downgrade() -> None:
    """Bring the schema back to 0005."""
    op.drop_table("autosched_sensitivity")
