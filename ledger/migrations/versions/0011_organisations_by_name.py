"""An app's organisations are listed by their names."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0011"
down_revision = "0010"

TABLES = Path(__file__).parents[2] / "sql" / "migrations" / "0011_organisations_by_name.sql"


def upgrade() -> None:
    """Mark the organisations among the names, and index both."""
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    """Refuse: a release before this one would not mark its organisations."""
    raise NotImplementedError("organisations stay marked")
