"""API keys of people and operators, what each may do, and what it did."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0015"
down_revision = "0014"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0015_api_keys.sql"


def upgrade() -> None:
    """Add the columns and the tables."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: what API keys spent would be forgotten, and those that are capped would not be."""
    raise NotImplementedError("what API keys may do is not forgotten")
