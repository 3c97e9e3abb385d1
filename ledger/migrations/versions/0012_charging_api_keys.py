"""A charge says by which API key it was made."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0012"
down_revision = "0011"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0012_charging_api_keys.sql"


def upgrade() -> None:
    """Add the column."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: entries are hashed with what the column says."""
    raise NotImplementedError("what entries say is not forgotten")
