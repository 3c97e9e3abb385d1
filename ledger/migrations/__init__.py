"""Alembic's versions of the books. The text of each is an `.sql` file in `ledger/sql`."""
