"""What could go wrong with what waits, as `corruptions` has it for the rest."""

from corruptions import planted

IN_WHAT_WAITS = (
    planted(
        "an event waits for ever: nobody knows what for",
        "delete from waiting_event",
        "events_lie_on_their_side_of_the_cursor",
    ),
    planted(
        "an event waits though it is due",
        "update waiting_event y set due_number = c.confirmed_number from chain c"
        " where c.chain_id = y.chain_id",
        "events_lie_on_their_side_of_the_cursor",
        "what_waits_is_due_later",
    ),
    planted(
        "what was granted is said to wait",
        "insert into waiting_event select event_no, chain_id, wallet, 1000 from event"
        " where account_id = :alice and lot_no = 1",
        "what_waits_is_due_later",
    ),
    planted(
        "what waits is another wallet's",
        "update waiting_event set wallet = '\\x01'",
        "what_waits_is_due_later",
    ),
    planted(
        "what waits is due before its block",
        "update waiting_event y set due_number = c.confirmed_number + 1 from chain c"
        " where c.chain_id = y.chain_id; update event e set block_number = c.indexed_number"
        " from waiting_event y, chain c where e.event_no = y.event_no and c.chain_id = y.chain_id",
        "events_lie_on_their_side_of_the_cursor",
        "what_waits_is_due_later",
    ),
    planted(
        "what is not there waits",
        "update waiting_event set event_no = 0",
        "events_lie_on_their_side_of_the_cursor",
        "what_waits_is_due_later",
    ),
)
