"""The books."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0002"
down_revision = None

TABLES = Path(__file__).parents[2] / "sql" / "tables"


def upgrade() -> None:
    """Make the tables."""
    for file in sorted(TABLES.glob("*.sql")):
        run_script(op.get_bind(), file)


def downgrade() -> None:
    """Refuse: what would have to go is the books."""
    raise NotImplementedError("there are no books before these")
