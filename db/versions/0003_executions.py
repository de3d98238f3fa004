"""What executed kernels computed: of layers and reshards alone, and of whole schedules.

Revision 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to 0003."""
    op.create_table(
        "autosched_execution",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("arch", sa.String(64), nullable=False),
        sa.Column("ttnn_version", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("toolchain", sa.String(64), nullable=False),
        sa.Column("layer_signature", sa.String(255), nullable=False),
        sa.Column("config_digest", sa.String(64), nullable=False),
        sa.Column("inputs_digest", sa.String(64), nullable=False),
        sa.Column("revision", sa.String(64), nullable=False),
        *_results(),
        sa.PrimaryKeyConstraint("id", name="pk_autosched_execution"),
        sa.UniqueConstraint(
            "arch",
            "ttnn_version",
            "kind",
            "toolchain",
            "layer_signature",
            "config_digest",
            "inputs_digest",
            "revision",
            name="uq_autosched_execution_key",
        ),
    )
    op.create_table(
        "autosched_verification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("toolchain", sa.String(64), nullable=False),
        *_results(),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["autosched_study.id"],
            name="fk_autosched_verification_study_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_autosched_verification"),
        sa.UniqueConstraint(
            "study_id", "fingerprint", "kind", "toolchain", name="uq_autosched_verification_key"
        ),
    )


def downgrade() -> None:
    """Bring the schema back to 0002."""
    op.drop_table("autosched_verification")
    op.drop_table("autosched_execution")


def _results() -> list[sa.Column]:
    return [
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("pcc", sa.Double(), nullable=True),
        sa.Column("concordance", sa.Double(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    ]
