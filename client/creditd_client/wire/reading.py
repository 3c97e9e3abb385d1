"""An answer of creditd, and the reading of its members. Members nobody asks for are ignored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from http import HTTPStatus

from creditd_client.errors import CreditsUnavailable


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object that creditd answered, and how it came about.

    `retried` says that an earlier attempt of the same call may have arrived too. Reading a member
    that is not there, or not what it should be, raises CreditsUnavailable.
    """

    status: int
    headers: Mapping[str, str]
    document: Mapping[str, object]
    key: str | None
    retried: bool = False

    @property
    def replayed(self) -> bool:
        """Whether an earlier request under the same key was answered again."""
        return self.headers.get("idempotent-replayed") == "true"

    def text(self, name: str) -> str:
        """Return a member that is a string."""
        value = self.document.get(name)
        if not isinstance(value, str):
            raise self.nonsense(name)
        return value

    def text_or_none(self, name: str) -> str | None:
        """Return a member that is a string, null or left out."""
        return None if self.document.get(name) is None else self.text(name)

    def flag(self, name: str) -> bool:
        """Return a member that is true or false."""
        value = self.document.get(name)
        if not isinstance(value, bool):
            raise self.nonsense(name)
        return value

    def number(self, name: str) -> int:
        """Return a member that is an integer."""
        value = self.document.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.nonsense(name)
        return value

    def number_or_none(self, name: str) -> int | None:
        """Return a member that is an integer, null or left out."""
        return None if self.document.get(name) is None else self.number(name)

    def credits(self, name: str) -> Decimal:
        """Return a member that is an amount of credits, written as a decimal string."""
        try:
            amount = Decimal(self.text(name))
        except InvalidOperation as wrong:
            raise self.nonsense(name) from wrong
        if not amount.is_finite():
            raise self.nonsense(name)
        return amount

    def credits_or_zero(self, name: str) -> Decimal:
        """Return an amount of credits, zero where it is left out."""
        return self.credits(name) if name in self.document else Decimal(0)

    def credits_or_none(self, name: str) -> Decimal | None:
        """Return an amount of credits, null or left out."""
        return None if self.document.get(name) is None else self.credits(name)

    def rows(self, name: str) -> list[Mapping[str, object]]:
        """Return a member that is a list of objects."""
        value = self.document.get(name)
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self.nonsense(name)
        return value

    def time_or_none(self, name: str) -> datetime | None:
        """Return a time, null or left out."""
        return None if self.document.get(name) is None else self.time(name)

    def time(self, name: str) -> datetime:
        """Return a member that is a time of RFC 3339."""
        try:
            moment = datetime.fromisoformat(self.text(name))
        except ValueError as wrong:
            raise self.nonsense(name) from wrong
        if moment.tzinfo is None:
            raise self.nonsense(name)
        return moment

    def nonsense(self, name: str) -> CreditsUnavailable:
        """Return the failure of a member that is not what it should be."""
        return CreditsUnavailable(
            f"the answer {self.status} has {name!r}: {self.document.get(name)!r};"
            " is base_url really creditd's, of a version that goes with this client?",
            maybe_taken=self.status < HTTPStatus.BAD_REQUEST,
            key=self.key,
        )
