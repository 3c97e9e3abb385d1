"""Wallets sign in, and are linked by a signature that is kept."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0013"
down_revision = "0012"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0013_sign_ins.sql"


def upgrade() -> None:
    """Add the three tables."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: by which signature a wallet was linked would be forgotten."""
    raise NotImplementedError("what wallets were linked by is not forgotten")
