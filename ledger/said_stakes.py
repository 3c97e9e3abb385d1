"""What contracts say themselves is staked, held against the stakes in the books."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.array_parameters import byteas, integers, texts
from ledger.session import Session

_WALLETS_TO_ASK: Final = """
select array(select d.wallet from creditd.differing_stake d where d.rule_id = r.rule_id
             order by d.block_number, d.wallet limit %s),
  array(select s.wallet from creditd.stake s
        where s.rule_id = r.rule_id and s.wallet > coalesce(r.asked_after, '')
        order by s.wallet limit %s)
from creditd.rule r where r.rule_id = %s"""


@dataclass(frozen=True, slots=True)
class WalletsToAsk:
    """The wallets of a source that its contracts are asked for next.

    The round goes on after the wallet `after`, or, with None, begins anew.
    """

    wallets: tuple[bytes, ...]
    after: bytes | None


class SaidStakes:
    """A session that holds what contracts of one chain say against the books.

    Every method raises LedgerUnavailable if the database does not answer; those that write raise
    Deposed if another watcher took over since the epoch.
    """

    def __init__(self, session: Session, chain_id: int) -> None:
        self._session = session
        self._chain_id = chain_id

    async def note_asked(self, epoch: int, totals: Sequence[int], balances: Sequence[int]) -> None:
        """Note which sources' contracts are asked for what is staked, in all and by wallet.

        What those of others said is no alarm any more.
        """
        await self._session.rows(
            "select creditd.note_asked(%s, %s, %s, %s)",
            (self._chain_id, epoch, integers(list(totals)), integers(list(balances))),
        )

    async def note_total(self, epoch: int, rule_id: int, number: int, total: int) -> bool:
        """Hold what a source's contracts say is staked, in base units, against the books.

        Returns False if the books have confirmed more than block `number` since: it says nothing.
        """
        rows = await self._session.rows(
            "select creditd.note_total(%s, %s, %s, %s, %s::numeric)",
            (self._chain_id, epoch, rule_id, number, total),
        )
        return bool(rows[0][0])

    async def wallets_to_ask(self, rule_id: int, most: int) -> WalletsToAsk:
        """Return the wallets of a source that its contracts are asked for next, at most `most`.

        At most half of them are those that differed, the longest ago asked first: the round goes
        on beside them.
        """
        ((differing, following),) = await self._session.rows(
            _WALLETS_TO_ASK, (most // 2, most + 1, rule_id)
        )
        room = most - len(differing)
        after = following[room - 1] if len(following) > room else None
        return WalletsToAsk(tuple(dict.fromkeys((*differing, *following[:room]))), after)

    async def note_balances(
        self, epoch: int, rule_id: int, number: int, said: Mapping[bytes, int], after: bytes | None
    ) -> bool:
        """Hold what contracts say that wallets have staked, in base units, against the books.

        `after` is that of `wallets_to_ask`. Returns False as `note_total` does.
        """
        rows = await self._session.rows(
            "select creditd.note_balances(%s, %s, %s, %s, %s, %s::numeric[], %s)",
            (
                *(self._chain_id, epoch, rule_id, number),
                byteas(list(said)),
                texts([str(balance) for balance in said.values()]),
                after,
            ),
        )
        return bool(rows[0][0])
