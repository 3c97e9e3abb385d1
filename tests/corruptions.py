"""What could go wrong with the books, each with the checks that must see it and no other.

The SQL is run as the owner with triggers off; `:alice` is an account whose story
`busy_book` tells. REHASHED makes the hashes right again, as a forger would.
"""

from dataclasses import dataclass

REHASHED = """;
do $$
declare a account; e entry; h bytea;
begin
  for a in select * from account loop
    h := first_hash(a.root_id, a.account_id);
    for e in select * from entry x where x.account_id = a.account_id order by x.seq loop
      h := entry_hash(h, e);
      update entry x set hash = h where x.account_id = a.account_id and x.seq = e.seq;
    end loop;
    update account x set head_hash = h where x.account_id = a.account_id;
  end loop;
end $$"""


@dataclass(frozen=True)
class Corruption:
    """A sentence, how it comes about, and which checks find breaches."""

    sentence: str
    statements: str
    found_by: frozenset[str]


def planted(sentence: str, statements: str, *found_by: str) -> Corruption:
    return Corruption(sentence, statements, frozenset(found_by))


def _entry(seq: int, change: str) -> str:
    return f"update entry set {change} where account_id = :alice and seq = {seq}"


IN_THE_ENTRIES = (
    planted(
        "an entry is removed from the middle",
        "delete from entry where account_id = :alice and seq = 4" + REHASHED,
        "entries_have_no_gaps",
    ),
    planted(
        "an account's number is ahead of its entries",
        "update account set seq = seq + 1 where account_id = :alice",
        "entries_have_no_gaps",
    ),
    planted(
        "an entry is dated before the one before it",
        _entry(6, "at = at - interval '1 day'") + REHASHED,
        "entries_have_no_gaps",
    ),
    planted(
        "an entry is changed in what no sum sees",
        _entry(5, "key_hash = gen_random_uuid()"),
        "entries_are_chained",
    ),
    planted(
        "an account's head is not its last entry's",
        "update account set head_hash = sha256('x') where account_id = :alice",
        "entries_are_chained",
    ),
    planted(
        "an entry claims another balance",
        _entry(5, "available_after = available_after + 1") + REHASHED,
        "entries_give_the_balances",
    ),
    planted(
        "an account claims that more was granted and more spent",
        "update account set granted = granted + 5, spent = spent + 5 where account_id = :alice",
        "entries_give_the_balances",
        "sides_balance",
    ),
    planted(
        "an account is gone and its entries are not",
        "delete from account where account_id = :alice",
        "entries_give_the_balances",
        "names_lead_to_accounts",
        "sides_balance",
        "lots_add_up",
    ),
    planted(
        "an API key is said to have spent more than it did",
        "update api_key_use set spent = spent + 1",
        "api_keys_spent_what_entries_say",
    ),
    planted(
        "a charge names a lot that is not there",
        _entry(28, "lot_no = 9999") + REHASHED,
        "every_entry_names_its_lot",
        "lots_add_up",
    ),
    planted(
        "a charge was paid from a grant that came later",
        _entry(10, "lot_no = 25") + REHASHED,
        "every_entry_names_its_lot",
        "lots_add_up",
    ),
    planted(
        "a further leg of a charge speaks for an app",
        _entry(6, "app_id = 1") + REHASHED,
        "movements_are_whole",
    ),
    planted(
        "a leg belongs to a movement that ended before it",
        _entry(19, "movement = 10") + REHASHED,
        "movements_are_whole",
        "charges_follow_their_price",
    ),
    planted(
        "two grants are one movement",
        _entry(15, "movement = 14") + REHASHED,
        "movements_are_whole",
    ),
    planted(
        "the repayment in a refund does not say which charge",
        _entry(24, "refers_to = null") + REHASHED,
        "movements_are_whole",
    ),
    planted(
        "a charge has no key",
        "alter table entry drop constraint key_says_what_it_asked;"
        + _entry(10, "key_hash = null")
        + REHASHED,
        "movements_are_whole",
        "constraints_stand",
    ),
    planted(
        "one key has made two charges",
        "drop index one_key_one_movement;"
        + _entry(
            10, "key_hash = (select key_hash from entry where account_id = :alice and seq = 5)"
        )
        + REHASHED,
        "keys_are_used_once",
        "constraints_stand",
    ),
    planted(
        "a charge was for fewer units",
        _entry(5, "units = units - 1") + REHASHED,
        "charges_follow_their_price",
    ),
    planted(
        "a charge was for less than nothing",
        _entry(4, "units = -1") + REHASHED,
        "charges_follow_their_price",
    ),
    planted(
        "a price is changed behind its charges' back",
        "update price set base = base + 1 where base > 0",
        "charges_follow_their_price",
        "settlements_pay_for_their_units",
    ),
    planted(
        "a price with charges is gone",
        "delete from price",
        "charges_follow_their_price",
        "settlements_pay_for_their_units",
    ),
    planted(
        "a refund gives back more than its charge took",
        _entry(7, "refers_to = 4") + REHASHED,
        "refunds_stay_within_their_charge",
    ),
    planted(
        "a refund gives back a charge that came later",
        _entry(7, "refers_to = 16") + REHASHED,
        "refunds_stay_within_their_charge",
    ),
    planted(
        "a refund gives back another app's charge",
        _entry(7, "app_id = 2") + REHASHED,
        "refunds_stay_within_their_charge",
    ),
    planted(
        "a refund says more than it gives",
        _entry(7, "total = total + 1") + REHASHED,
        "refunds_stay_within_their_charge",
        "sums_agree",
    ),
)

IN_THE_LOTS_AND_EVENTS = (
    planted(
        "a unit slips from one lot into another",
        "update account set head_left = head_left - 1 where account_id = :alice;"
        "update lot set remaining = remaining + 1 where account_id = :alice and lot_no = 2",
        "lots_add_up",
        "heads_come_first",
    ),
    planted(
        "a lot says that it came from a chain",
        "update lot set rule_id = 1, incarnation = 1 where source = 'refund'",
        "lots_add_up",
        "lots_have_their_event",
    ),
    planted(
        "a unit that expired is back in its lot",
        "update lot set remaining = remaining + 1, expired = expired - 1 where expired > 0",
        "lots_add_up",
        "sums_agree",
        "no_lot_expires_unnoticed",
    ),
    planted(
        "a live lot says that a unit was taken back",
        "update account set head_left = head_left - 1 where account_id = :alice;"
        "update lot set reversed = 1 where account_id = :alice and lot_no = 25",
        "lots_add_up",
        "sums_agree",
    ),
    planted(
        "a spent lot is reversed and nothing is owed for it",
        "update lot set state = 'reversed' where account_id = :alice and lot_no = 2",
        "lots_add_up",
        "events_have_their_lot",
        "lots_have_their_event",
    ),
    planted(
        "a reversed lot says that part of it expired",
        "update lot set reversed = reversed - 5, expired = 5 where state = 'reversed'",
        "lots_add_up",
    ),
    planted(
        "a lot holds a unit less",
        "update account set head_left = head_left - 1 where account_id = :alice",
        "sums_agree",
        "lots_add_up",
    ),
    planted(
        "an event says that it was granted more",
        "update event set granted = granted + 1, credits = credits + 1"
        " where account_id = :alice and lot_no = 1",
        "sums_agree",
        "events_have_their_lot",
    ),
    planted(
        "an orphaned event's lot lives",
        "update lot set state = 'live' where account_id = :alice and lot_no = 15",
        "events_have_their_lot",
        "lots_have_their_event",
    ),
    planted(
        "an event was granted twice",
        "insert into lot (root_id, account_id, lot_no, source, rule_id, cause, incarnation, amount,"
        " remaining, created_at) select root_id, account_id, 4, source, rule_id, cause, 2, amount,"
        " 0, created_at from lot where account_id = :alice and lot_no = 1",
        "events_have_their_lot",
        "lots_have_their_event",
        "lots_add_up",
    ),
    planted(
        "a confirmed event was never granted",
        "update event set lot_no = null, granted = null where account_id = :alice and lot_no = 1",
        "events_have_their_lot",
        "lots_have_their_event",
        "sums_agree",
    ),
    planted(
        "an orphaned event is forgotten",
        "delete from event where state = 'reversed'",
        "lots_have_their_event",
    ),
    planted(
        "a pending event lies below the last final block",
        "update event set block_number = 1 where state = 'pending'",
        "events_lie_on_their_side_of_the_cursor",
    ),
    planted(
        "a confirmed event lies above the last final block",
        "update event set block_number = 1000 where event_no = (select min(event_no) from event)",
        "events_lie_on_their_side_of_the_cursor",
    ),
    planted(
        "an event is of a block that is not the one we followed",
        "update event set block_hash = sha256('x') where state = 'confirmed'",
        "events_lie_on_their_side_of_the_cursor",
    ),
    planted(
        "an event has another time than its block",
        "update event set block_time = block_time + interval '1 day'"
        " where state = 'confirmed' and role = 0",
        "events_lie_on_their_side_of_the_cursor",
    ),
    planted(
        "a block is missing",
        "delete from block where chain_id = 1 and number = 2",
        "blocks_are_linked",
    ),
    planted(
        "a block has another parent",
        "update block set parent = sha256('x') where chain_id = 1 and number = 2",
        "blocks_are_linked",
    ),
    planted(
        "the cursor stands on a block before the last",
        "update chain set indexed_number = indexed_number - 1",
        "blocks_are_linked",
    ),
    planted(
        "the last final block is not the one that was confirmed",
        "update chain set confirmed_hash = sha256('x')",
        "blocks_are_linked",
    ),
    planted(
        "a cap forgets what it gave",
        "update cap_use set granted = granted - 1 where day <> '-infinity'",
        "caps_hold_what_lots_used",
    ),
    planted(
        "a cap was never counted",
        "delete from cap_use",
        "caps_hold_what_lots_used",
    ),
    planted(
        "a cap has lost a day",
        "delete from cap_use where day <> '-infinity'",
        "caps_hold_what_lots_used",
    ),
    planted(
        "cashback counts as backed that is not",
        "update charge_cause set unbacked = 0",
        "charges_cause_what_they_back",
    ),
    planted(
        "cashback counts as unbacked that a charge backs",
        "update charge_cause set unbacked = 1 where unbacked = 0",
        "charges_cause_what_they_back",
    ),
    planted(
        "a charge has caused more than its lots were granted",
        "update charge_cause set granted = granted + 1 where unbacked = 0",
        "charges_cause_what_they_back",
    ),
    planted(
        "nobody remembers what a charge has caused",
        "delete from charge_cause where unbacked > 0",
        "charges_cause_what_they_back",
    ),
    planted(
        "an account looks too late for what expires",
        "update account set valid_until = 'infinity'",
        "no_lot_expires_unnoticed",
    ),
    planted(
        "a lot was ended before its time",
        "update lot set expires_at = 'infinity' where expired > 0",
        "no_lot_expires_unnoticed",
    ),
    planted(
        "a wallet belongs to nobody",
        "insert into wallet values (9, decode(repeat('09', 20), 'hex'), 5, 5)",
        "names_lead_to_accounts",
    ),
    planted(
        "there is a kind of entry that nobody knows",
        "insert into entry_kind values (99, 'gift', 'issuance', 'available')",
        "kinds_move_between_their_sides",
    ),
    planted(
        "what expires goes to the operator",
        "update entry_kind set to_side = 'revenue' where name = 'expiry'",
        "kinds_move_between_their_sides",
        "sides_balance",
    ),
    planted(
        "credits come in that nobody sent",
        "update entry set peer_root = 7, peer_account = 7 where kind = 14" + REHASHED,
        "movements_meet",
    ),
)
