"""Answers stay, by the firmware of the card and the code that gave them.

Revision 0010, after 0009. What is stored before is of no known firmware.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OF_A_LAYER = ("layer_signature", "config_digest", "inputs_digest")
_KEYS = {
    "autosched_probe": ("board", "device_kind", "ttnn_version"),
    "autosched_measurement": ("board", "ttnn_version"),
}


def upgrade() -> None:
    """Bring the schema to 0010."""
    op.add_column("autosched_study", _firmware())
    for name, device in _KEYS.items():
        with op.batch_alter_table(name) as table:
            table.add_column(_firmware())
            table.drop_constraint(f"uq_{name}_key", type_="unique")
            table.create_unique_constraint(
                f"uq_{name}_key", [*device, "firmware", *_OF_A_LAYER, "revision"]
            )


def _firmware() -> sa.Column[str]:
    return sa.Column("firmware", sa.String(64), nullable=False, server_default="")


def downgrade() -> None:
    """Bring the schema back to 0009; of each question the newest answer is left."""
    for name, device in _KEYS.items():
        key = ", ".join([*device, *_OF_A_LAYER])
        newest = f"SELECT max(id) FROM {name} GROUP BY {key}"  # noqa: S608
        op.execute(f"DELETE FROM {name} WHERE id NOT IN ({newest})")  # noqa: S608
        with op.batch_alter_table(name) as table:
            table.drop_constraint(f"uq_{name}_key", type_="unique")
            table.drop_column("firmware")
            table.create_unique_constraint(f"uq_{name}_key", [*device, *_OF_A_LAYER])
    with op.batch_alter_table("autosched_study") as table:
        table.drop_column("firmware")
