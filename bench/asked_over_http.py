"""What the load asks of the API: requests as common clients write them."""

import random
from collections.abc import Sequence
from typing import Final

import msgspec
from filled_books import OPERATION
from http_load import Request

from ledger.ids import AccountRef, format_account

ITEMS: Final = 100  # of a bulk call
_BULK_CALLS: Final = 200  # prebuilt


def charges(accounts: Sequence[AccountRef], api_key: str) -> list[Request]:
    """Return a request for each account, shuffled."""
    return [
        _post(
            "/v1/charges",
            {"account": format_account(account), "operation": OPERATION},
            api_key,
            b"Idempotency-Key: " + Request.KEY + b"\r\n",
        )
        for account in random.sample(list(accounts), len(accounts))
    ]


def bulk(accounts: Sequence[AccountRef], api_key: str) -> list[Request]:
    """Return calls of ITEMS charges each, of random accounts."""
    return [
        _post(
            "/v1/charges/bulk",
            {
                "charges": [
                    {
                        "account": format_account(account),
                        "operation": OPERATION,
                        "key": Request.KEY.decode(),
                    }
                    for account in random.sample(list(accounts), ITEMS)
                ]
            },
            api_key,
        )
        for _ in range(_BULK_CALLS)
    ]


def reads(accounts: Sequence[AccountRef], api_key: str) -> list[Request]:
    """Return a request for each account's balance."""
    return [
        Request(
            b"GET /v1/accounts/%s/balance HTTP/1.1\r\nHost: 127.0.0.1:8402\r\n"
            b"User-Agent: creditd-bench\r\nAccept: */*\r\nAuthorization: Bearer %s\r\n\r\n"
            % (format_account(account).encode(), api_key.encode())
        )
        for account in accounts
    ]


def _post(path: str, body: object, api_key: str, header: bytes = b"") -> Request:
    """Return a request as common clients write it."""
    content = msgspec.json.encode(body)
    return Request(
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1:8402\r\nUser-Agent: creditd-bench\r\nAccept: */*\r\n"
        b"Content-Type: application/json\r\nAuthorization: Bearer %s\r\n%s"
        b"Content-Length: %d\r\n\r\n%s"
        % (path.encode(), api_key.encode(), header, len(content), content)
    )
