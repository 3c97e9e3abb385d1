"""What contracts say that single wallets have staked is held against the books."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0009"
down_revision = "0008"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0009_differing_stakes.sql"


def upgrade() -> None:
    """Make the table of what differs, and the place of a round."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: an alarm that is not over would be forgotten."""
    raise NotImplementedError("stakes that differ are not forgotten")
