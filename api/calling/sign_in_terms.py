"""What signing in by a wallet goes by. Whoever puts the process together hands it in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

AskContract = Callable[[int, bytes, bytes, bytes], Awaitable[bool | None]]
"""Whether a contract of a chain (its id, the address) takes a signature of a hash for its own.

The address has 20 bytes, the hash 32. None: nobody can say now.
"""


@dataclass(frozen=True, slots=True)
class SignInTerms:
    """The origin that people know the API by, and the chains that wallets may be of.

    `public_url` is scheme, host and port as browsers name an origin: nothing after it, and no port
    where it is the scheme's own. What a request says of its host is never believed.
    """

    public_url: str
    chain_ids: frozenset[int]
    ask_contract: AskContract

    @property
    def domain(self) -> str:
        """Host and port, as the messages that wallets sign name it."""
        return urlsplit(self.public_url).netloc
