"""Events may wait longer than for their block to be confirmed."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0008"
down_revision = "0007"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0008_waiting_events.sql"


def upgrade() -> None:
    """Make the table of what waits."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: what waits would be granted too early, or never."""
    raise NotImplementedError("events that wait are not forgotten")
