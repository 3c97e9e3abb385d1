"""The first books."""

from pathlib import Path

from alembic import op

from ledger.migrate import run_script

revision = "0001"
down_revision = None

SQL = Path(__file__).parents[2] / "sql" / "0001_books.sql"


def upgrade() -> None:
    """Make the tables."""
    run_script(op.get_bind(), SQL)


def downgrade() -> None:
    """Refuse: what would have to go is the books."""
    raise NotImplementedError("the first books have nothing before them")
