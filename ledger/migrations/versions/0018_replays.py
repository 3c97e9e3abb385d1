"""Operators' acts about a source are kept beside those about accounts."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0018"
down_revision = "0017"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0018_replays.sql"


def upgrade() -> None:
    """Widen the table."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: what was done would be forgotten."""
    raise NotImplementedError("what operators did is not forgotten")
