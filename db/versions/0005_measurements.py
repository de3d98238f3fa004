"""How long layers and reshards took alone on a card.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to 0005."""
    op.create_table(
        "autosched_measurement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("board", sa.String(64), nullable=False),
        sa.Column("ttnn_version", sa.String(64), nullable=False),
        sa.Column("layer_signature", sa.String(255), nullable=False),
        sa.Column("config_digest", sa.String(64), nullable=False),
        sa.Column("inputs_digest", sa.String(64), nullable=False),
        sa.Column("revision", sa.String(64), nullable=False),
        sa.Column("chosen_by", sa.String(64), nullable=False),
        sa.Column("rejection", sa.String(64), nullable=True),
        sa.Column("outcome", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_autosched_measurement"),
        sa.UniqueConstraint(
            "board",
            "ttnn_version",
            "layer_signature",
            "config_digest",
            "inputs_digest",
            name="uq_autosched_measurement_key",
        ),
    )


def downgrade() -> None:
    """Bring the schema back to 0004; what was measured is lost."""
    op.drop_table("autosched_measurement")
