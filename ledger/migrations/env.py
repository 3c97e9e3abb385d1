"""Alembic runs this with the connection `ledger.migrate` hands it."""

from alembic import context
from sqlalchemy import Connection


def migrate(connection: Connection) -> None:
    """Run the versions in the transaction the connection is already in."""
    context.configure(
        connection=connection, version_table="schema_version", version_table_schema="creditd"
    )
    context.run_migrations()


migrate(context.config.attributes["connection"])
