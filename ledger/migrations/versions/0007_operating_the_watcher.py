"""What an operator decides about a chain, and what the books know of how its watcher fares."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0007"
down_revision = "0006"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0007_operating_the_watcher.sql"


def upgrade() -> None:
    """Make the tables, and the columns of a chain."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: what would have to go is a record."""
    raise NotImplementedError("the record of accepted reorgs is not thrown away")
