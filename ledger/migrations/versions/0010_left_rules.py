"""A reorg takes back how far a source that was taken out was followed; a still head is told of."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0010"
down_revision = "0009"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0010_left_rules.sql"


def upgrade() -> None:
    """Add the two columns."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: what a source missed would be forgotten."""
    raise NotImplementedError("that a source was taken out is not forgotten")
