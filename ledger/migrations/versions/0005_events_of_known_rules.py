"""That an event's rule is known is asked once a step, not once an event."""

from pathlib import Path

from alembic import op

from ledger.laying import run_script

revision = "0005"
down_revision = "0004"

CONSTRAINT = Path(__file__).parents[2] / "sql" / "migrations" / "0005_events_of_known_rules.sql"


def upgrade() -> None:
    """Drop the constraint: the function has taken its place."""
    run_script(op.get_bind(), CONSTRAINT)


def downgrade() -> None:
    """Refuse: nothing would check the events written meanwhile."""
    raise NotImplementedError("events are written without it")
