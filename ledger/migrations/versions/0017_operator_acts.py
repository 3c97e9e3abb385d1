"""What operators do over their port is kept, with who and why."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0017"
down_revision = "0016"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0017_operator_acts.sql"


def upgrade() -> None:
    """Add the table."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: what was done would be forgotten."""
    raise NotImplementedError("what operators did is not forgotten")
