"""Prices by model, by tiers of units, and from one moment to another."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0016"
down_revision = "0015"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0016_price_book.sql"


def upgrade() -> None:
    """Add what a price says beyond base and per unit."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: charges were made by prices that the tables before cannot hold."""
    raise NotImplementedError("prices by model and by tiers have no place in the tables before")
