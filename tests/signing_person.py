"""A person with a wallet and a browser: asks for texts, signs them, keeps the cookie."""

import re
from dataclasses import dataclass, field
from typing import Any

import httpx2
from conftest import CHAIN_ID
from eth_account import Account
from eth_account.messages import encode_defunct
from live_api import PUBLIC_URL, LiveApi

from api.calling.sessions import COOKIE

ALICE_KEY = "0x" + "a1" * 32
BOB_KEY = "0x" + "b0" * 32
OWN_PAGE = {"Origin": PUBLIC_URL}


def sign(text: str, key: str) -> str:
    return "0x" + bytes(Account.sign_message(encode_defunct(text=text), key).signature).hex()


def cookie_of(response: httpx2.Response) -> str:
    """The session's secret that an answer gives to the browser."""
    found = re.match(f"{COOKIE}=([^;]*); ", response.headers["set-cookie"])
    assert found is not None
    return found[1]


@dataclass
class Person:
    """Holds a key, and the session of the last sign-in."""

    api: LiveApi
    key: str = ALICE_KEY
    chain_id: int = CHAIN_ID
    cookie: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        return str(Account.from_key(self.key).address)

    @property
    def raw_address(self) -> bytes:
        return bytes.fromhex(self.address[2:])

    @property
    def wallet(self) -> dict[str, object]:
        return {"chain_id": self.chain_id, "address": self.address}

    def visit(self, method: str, path: str, **options: Any) -> httpx2.Response:  # noqa: ANN401
        """Send a request without an API key, and without a session."""
        return self.api.request(method, path, anonymous=True, **options)

    def ask(self) -> str:
        """Ask for a text to sign in by."""
        response = self.visit("POST", "/v1/sign-in/challenge", json=self.wallet)
        assert response.status_code == 201, response.text
        return str(response.json()["message"])

    def hand_in(self, text: str, signature: str | None = None, **headers: str) -> httpx2.Response:
        """Sign in by a text."""
        body = {"message": text, "signature": signature or sign(text, self.key)}
        return self.visit("POST", "/v1/sign-in", json=body, headers=headers)

    def sign_in(self) -> str:
        """Sign in, keep the session, and return the account."""
        response = self.hand_in(self.ask())
        assert response.status_code == 201, response.text
        self.cookie = cookie_of(response)
        return str(response.json()["account"])

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> httpx2.Response:
        """Send a request as a page of the API's own origin does, with the session's cookie."""
        sent = {"Cookie": f"{COOKIE}={self.cookie}"}
        sent |= OWN_PAGE if headers is None else headers
        return self.visit(method, path, headers=sent, **options)

    def ask_to_link(self, other: "Person") -> str:
        """Ask for a text by which another wallet is linked to one's account."""
        response = self.send("POST", "/v1/wallets/challenge", json=other.wallet)
        assert response.status_code == 201, response.text
        return str(response.json()["message"])

    def link(self, text: str, signature: str) -> httpx2.Response:
        body = {"message": text, "signature": signature}
        return self.send("POST", "/v1/wallets", json=body)

    def balance(self, account: str) -> httpx2.Response:
        return self.send("GET", f"/v1/accounts/{account}/balance")
