"""What signing in by a wallet, and linking one by its signature, work with."""

import time
from dataclasses import dataclass, field
from typing import Final

from api.calling.sessions import Sessions
from api.calling.sign_in_terms import SignInTerms
from api.problems.refusals import Refused, SignInNotOffered, TooManyChallenges
from ledger.linking import Linking
from ledger.sign_ins import SignIns

# What one process gives out to be signed at most: each takes a row of the books until it is over.
# As many as ten seconds bring are given out at once.
CHALLENGES_PER_SECOND: Final = 50
CHALLENGES_AT_ONCE: Final = 10 * CHALLENGES_PER_SECOND


class ChallengePace:
    """How many texts a process still gives out now."""

    def __init__(self) -> None:
        self._left = float(CHALLENGES_AT_ONCE)
        self._at = time.monotonic()

    def take(self) -> None:
        """Take one. Raises Refused(TooManyChallenges) if there is none left for the moment."""
        now = time.monotonic()
        gained = (now - self._at) * CHALLENGES_PER_SECOND
        self._left, self._at = min(self._left + gained, CHALLENGES_AT_ONCE), now
        if self._left < 1:
            raise Refused(TooManyChallenges())
        self._left -= 1


@dataclass(frozen=True, slots=True)
class Signing:
    """The books of signing in and linking; `terms` is None where no wallet can sign."""

    sign_ins: SignIns
    linking: Linking
    sessions: Sessions
    terms: SignInTerms | None
    pace: ChallengePace = field(default_factory=ChallengePace)

    def offered(self) -> SignInTerms:
        """Return the terms. Raises Refused(SignInNotOffered)."""
        if self.terms is None:
            raise Refused(SignInNotOffered())
        return self.terms
