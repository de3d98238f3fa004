"""First schema: probes, studies, trials and calibrations.

Revision 0001, after none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to 0001."""
    _create_probe()
    _create_study()
    _create_trial()
    _create_calibration()


def downgrade() -> None:
    """Bring the schema back to nothing."""
    for name in ("calibration", "trial", "study", "probe"):
        op.drop_table(f"autosched_{name}")


def _create_probe() -> None:
    op.create_table(
        "autosched_probe",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("board", sa.String(64), nullable=False),
        sa.Column("device_kind", sa.String(16), nullable=False),
        sa.Column("ttnn_version", sa.String(64), nullable=False),
        sa.Column("layer_signature", sa.String(255), nullable=False),
        sa.Column("config_digest", sa.String(64), nullable=False),
        sa.Column("inputs_digest", sa.String(64), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("input_layouts", sa.JSON(), nullable=False),
        sa.Column("rejection", sa.String(64), nullable=True),
        sa.Column("outcome", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_autosched_probe"),
        sa.UniqueConstraint(
            "board",
            "device_kind",
            "ttnn_version",
            "layer_signature",
            "config_digest",
            "inputs_digest",
            name="uq_autosched_probe_key",
        ),
    )


def _create_study() -> None:
    op.create_table(
        "autosched_study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("network_signature", sa.String(64), nullable=False),
        sa.Column("board", sa.String(64), nullable=False),
        sa.Column("device_kind", sa.String(16), nullable=False),
        sa.Column("ttnn_version", sa.String(64), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_autosched_study"),
        sa.UniqueConstraint("name", name="uq_autosched_study_name"),
    )


def _create_trial() -> None:
    op.create_table(
        "autosched_trial",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sampler", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("latency_us", sa.Double(), nullable=True),
        sa.Column("latency_kind", sa.String(16), nullable=True),
        sa.Column("latency_std_us", sa.Double(), nullable=True),
        sa.Column("peak_l1_bytes", sa.Integer(), nullable=True),
        sa.Column("cost_model", sa.String(64), nullable=False),
        sa.Column("rejection_kind", sa.String(64), nullable=True),
        sa.Column("rejection_message", sa.Text(), nullable=True),
        sa.Column("rejection_layer", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("schedule", sa.LargeBinary(), nullable=False),
        sa.Column("ops", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"],
            ["autosched_study.id"],
            name="fk_autosched_trial_study_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_autosched_trial"),
        sa.UniqueConstraint("study_id", "number", name="uq_autosched_trial_number"),
    )


def _create_calibration() -> None:
    op.create_table(
        "autosched_calibration",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("arch", sa.String(64), nullable=False),
        sa.Column("ttnn_version", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("coefficients", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_autosched_calibration"),
        sa.UniqueConstraint(
            "arch", "ttnn_version", "name", "fingerprint", name="uq_autosched_calibration_key"
        ),
    )
