"""Cashback that refunds have left without a charge to back it."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0004"
down_revision = "0003"

COLUMN = Path(__file__).parents[2] / "sql" / "migrations" / "0004_unbacked_cashback.sql"


def upgrade() -> None:
    """Add the column, and compute it for the rows that are there."""
    run_script(op.get_bind(), COLUMN)


def downgrade() -> None:
    """Refuse: releases before this would grant on without it."""
    raise NotImplementedError("what cashback is unbacked is not forgotten")
