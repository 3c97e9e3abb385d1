"""Owners say which apps act for their accounts."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0014"
down_revision = "0013"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0014_consents.sql"


def upgrade() -> None:
    """Add the table, with what apps had said of wallets."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: a release before this one would not ask for consent."""
    raise NotImplementedError("what was withdrawn stays withdrawn")
