"""What the books tell of the past and of what may come, asked of both."""

from driven_books import CHAIN, DRIVEN, agree
from driven_story import DAY, PICKS, SECOND, ToldTwice, told
from hypothesis import strategies as st
from specification.accounts import balance_as_of


class Asked(ToldTwice):
    @told(1, pick=PICKS, ago=st.sampled_from([0, 1, SECOND, DAY - 1, DAY, 2 * DAY, 5 * DAY]))
    def somebody_asks_for_the_past(self, pick: int, ago: int) -> None:
        if "past" not in DRIVEN:
            return
        account, at = self.account(pick), self.now - ago
        expected = balance_as_of(self.books.accounts[account], at)
        agree(self.real.balance_as_of(account, at), expected)

    @told(1, depth=st.integers(0, 4))
    def somebody_asks_what_is_at_stake(self, depth: int) -> None:
        if "exposure" not in DRIVEN:
            return
        block = max(self.first_block, self.last_block - depth)
        agree(self.real.exposure(block), self.chains.exposure(CHAIN, block, self.now))
