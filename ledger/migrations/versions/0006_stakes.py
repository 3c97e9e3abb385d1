"""Stakes that earn for the time they are held."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0006"
down_revision = "0005"

STAKES = Path(__file__).parents[2] / "sql" / "migrations" / "0006_stakes.sql"


def upgrade() -> None:
    """Make room for a rule's terms of time and for what wallets have staked."""
    run_script(op.get_bind(), STAKES)


def downgrade() -> None:
    """Refuse: what stakes have earned would not be known any more."""
    raise NotImplementedError("stakes that have earned are not thrown away")
