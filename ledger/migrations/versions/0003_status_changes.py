"""Who froze an account, and why."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0003"
down_revision = "0002"

TABLE = Path(__file__).parents[2] / "sql" / "migrations" / "0003_status_changes.sql"


def upgrade() -> None:
    """Make the table."""
    run_script(op.get_bind(), TABLE)


def downgrade() -> None:
    """Refuse: what would have to go is a record."""
    raise NotImplementedError("the record of who froze accounts is not thrown away")
