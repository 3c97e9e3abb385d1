"""The statements of `ledger.reading` about API keys, each built once."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    String,
    bindparam,
    func,
    literal_column,
    select,
)

from ledger.question_parts import total
from ledger.schema import api_key, api_key_use, app

_OF_KEY: Final = (
    *(api_key.c[name] for name in ("key_id", "app_id", "scopes", "expires_at", "revoked_at")),
    *(api_key.c[name] for name in ("kind", "root_id", "account_id", "operations", "family")),
    *(api_key.c[name] for name in ("rate_requests", "rate_seconds")),
    app.c.name.label("app"),
)

API_KEY: Final = (
    select(*_OF_KEY)
    .join_from(api_key, app, app.c.app_id == api_key.c.app_id)
    .where(api_key.c.digest == bindparam("digest", type_=LargeBinary))
)


_use = (
    select(
        total(api_key_use.c.charges).label("charges"),
        total(api_key_use.c.spent).label("spent"),
        total(api_key_use.c.refunded).label("refunded"),
        func.max(api_key_use.c.last_at).label("last_used_at"),
    )
    .where(api_key_use.c.key_id == api_key.c.key_id)
    .correlate(api_key)
    .lateral("use")
)
_cap = func.creditd.caps_of(api_key.c.family).table_valued(
    "o_period", "o_amount", "o_used", "o_renews_at"
)
_caps = (
    select(
        func.coalesce(
            func.json_agg(func.json_build_array(*_cap.c)),
            literal_column("'[]'::json"),
        )
    )
    .select_from(_cap)
    .scalar_subquery()
)


def _records(*conditions: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            *_OF_KEY,
            *(api_key.c[name] for name in ("hint", "created_at", "replaced_by", "made_by")),
            *_use.c,
            _caps.label("caps"),
        )
        .select_from(
            api_key.join(app, app.c.app_id == api_key.c.app_id).join(_use, literal_column("true"))
        )
        .where(*conditions)
        .order_by(api_key.c.key_id.desc())
    )


_PAGE: Final = api_key.c.key_id < bindparam("before", type_=BigInteger)
_LIMIT: Final = bindparam("limit", type_=Integer)

RECORD: Final = _records(api_key.c.key_id == bindparam("key_id", type_=Integer))
RECORDS: Final = _records(_PAGE).limit(_LIMIT)
RECORDS_OF_APP_NAMED: Final = _records(_PAGE, app.c.name == bindparam("name", type_=String)).limit(
    _LIMIT
)
RECORDS_OF_APP: Final = _records(
    _PAGE,
    api_key.c.app_id == bindparam("app", type_=Integer),
    api_key.c.kind == literal_column("'app'"),
).limit(_LIMIT)
RECORDS_OF_ACCOUNT: Final = _records(
    _PAGE,
    api_key.c.root_id == bindparam("root", type_=BigInteger),
    api_key.c.account_id == bindparam("account", type_=BigInteger),
).limit(_LIMIT)
