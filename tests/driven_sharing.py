"""Links, organisations, overdrafts and the operator's hand, told to both."""

from conftest import ASKED
from driven_books import CHAIN, DRIVEN, agree
from driven_story import AMOUNTS, KEYS, PICKS, WALLETS, ToldTwice, told
from hypothesis import strategies as st
from specification import granting, sharing

from ledger.ids import AccountRef
from ledger.outcomes import AccountOpened, MemberMoved
from ledger.periods import Period

PERIODS = st.sampled_from(["day", "week", "month", "ever"])


class Shared(ToldTwice):
    @told(1, pick=PICKS, is_frozen=st.sampled_from([False, False, True]))
    def the_operator_freezes(self, pick: int, *, is_frozen: bool) -> None:
        if "freezing" not in DRIVEN:
            return
        account = self.account(pick)
        got = self.real.run(self.real.by.acts.set_frozen(account, frozen=is_frozen, signed=ASKED))
        change = sharing.freeze if is_frozen else sharing.unfreeze
        agree(got, change(self.books, account=account))

    @told(2, pick=PICKS, limit=st.sampled_from([0, 5, 20, 60]))
    def an_overdraft_is_set(self, pick: int, limit: int) -> None:
        if "overdrafts" not in DRIVEN:
            return
        account = self.account(pick)
        if not self.books.accounts[account].is_closed:
            got = self.real.run(self.real.by.operating.set_overdraft(account, limit))
            expected = granting.set_overdraft(self.books, self.now, account=account, limit=limit)
            agree(got, expected)

    @told(2, wallet=st.integers(0, WALLETS - 1), pick=PICKS, on_all=st.booleans())
    def a_wallet_is_linked(self, wallet: int, pick: int, *, on_all: bool) -> None:
        if "links" not in DRIVEN:
            return
        chain, address = None if on_all else CHAIN, self.addresses[wallet]
        account = self.account(pick)
        got = self.real.run(
            self.real.by.acts.link(account, chain_id=chain, address=address, signed=ASKED)
        )
        expected = sharing.link(self.books, self.now, chain=chain, address=address, account=account)
        agree(got, expected)

    @told(1, wallet=st.integers(0, WALLETS - 1), pick=PICKS, on_all=st.booleans())
    def a_wallet_is_unlinked(self, wallet: int, pick: int, *, on_all: bool) -> None:
        if "links" not in DRIVEN:
            return
        chain, address = None if on_all else CHAIN, self.addresses[wallet]
        account = self.account(pick)
        got = self.real.run(
            self.real.by.acts.unlink(account, chain_id=chain, address=address, signed=ASKED)
        )
        expected = sharing.unlink(self.books, chain=chain, address=address, account=account)
        agree(got, expected)

    @told(2, members=st.integers(1, 2))
    def an_organisation_opens(self, members: int) -> None:
        if "members" not in DRIVEN or len(self.pools) > 1:
            return
        name = f"{self.name} organisation {len(self.pools)}"
        by = self.real.by.sharing
        opened = self.real.run(by.open_organisation(app_id=self.app, name=name))
        assert isinstance(opened, AccountOpened)
        pool = self.welcome(opened, "organisation")
        self.pools.append(pool)
        for number in range(members):
            member = self.real.run(
                by.add_member(
                    app_id=self.app, organisation=pool, name=f"{len(self.members)} {number}"
                )
            )
            assert isinstance(member, AccountOpened)
            self.members.append(self.welcome(member, "member"))

    @told(2, pick=PICKS, period=PERIODS, limit=st.none() | st.sampled_from([0, 10, 40, 200]))
    def a_budget_is_set(self, pick: int, period: Period, limit: int | None) -> None:
        if not self.members:
            return
        member = self.members[pick % len(self.members)]
        if not self.books.accounts[member].is_closed:
            self.real.run(
                self.real.by.sharing.set_budget(
                    app_id=self.app, member=member, period=period, amount=limit
                )
            )
            sharing.set_budget(self.books, member=member, period=period, limit=limit)

    @told(2, pick=PICKS, key=KEYS, amount=AMOUNTS, back=st.booleans())
    def credits_are_allocated(self, pick: int, key: str, amount: int, *, back: bool) -> None:
        if not self.members:
            return
        member, by = self.members[pick % len(self.members)], self.real.by.sharing
        move = by.take_back if back else by.allocate
        got = self.real.run(move(app_id=self.app, member=member, key=key, amount=amount))
        expected = sharing.allocate(
            self.books, self.now, app=self.app, member=member, amount=amount, key=key, back=back
        )
        agree(got, expected)

    @told(1, pick=PICKS)
    def a_member_leaves(self, pick: int) -> None:
        if not self.members:
            return
        member = self.members[pick % len(self.members)]
        got = self.real.run(self.real.by.sharing.remove_member(app_id=self.app, member=member))
        agree(got, sharing.remove_member(self.books, self.now, member=member))

    @told(1, pick=PICKS)
    def a_member_goes_elsewhere(self, pick: int) -> None:
        if not self.members or len(self.pools) < 2:
            return
        member = self.members[pick % len(self.members)]
        (to,) = [pool for pool in self.pools if pool.root_id != member.root_id]
        if self.books.accounts[member].is_closed:
            return
        got = self.real.run(self.real.by.sharing.move_member(app_id=self.app, member=member, to=to))
        if isinstance(got, MemberMoved):
            self.members.append(got.account)
            self.accounts.append(got.account)
            agree(got, sharing.move_member(self.books, self.now, member=member, to=got.account))
        else:
            nowhere = AccountRef(to.root_id, 0)
            agree(got, sharing.move_member(self.books, self.now, member=member, to=nowhere))
