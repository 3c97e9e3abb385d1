"""Which app may act for an account, and which may read it: statements built once."""

from typing import Final

from sqlalchemy import Integer, bindparam, select, union_all

from ledger.question_parts import of_asked
from ledger.schema import account_access, consent

ACCESS: Final = select(account_access.c.app_id).where(
    of_asked(account_access), account_access.c.app_id == bindparam("app", type_=Integer)
)
# Who may only read has a consent and no row of access.
READING: Final = union_all(
    ACCESS,
    select(consent.c.app_id).where(
        of_asked(consent),
        consent.c.app_id == bindparam("app", type_=Integer),
        consent.c.withdrawn_at.is_(None),
    ),
)
