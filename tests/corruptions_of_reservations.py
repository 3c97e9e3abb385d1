"""What could go wrong with reservations and how they ended: see `corruptions`."""

from corruptions import REHASHED, planted

IN_THE_RESERVATIONS = (
    planted(
        "a settlement was of more units than it took the price of",
        "update entry set units = units + 1 where kind = 9" + REHASHED,
        "settlements_pay_for_their_units",
    ),
    planted(
        "a settlement was of less than no units",
        "update entry set units = -1 where kind = 9 and units is not null" + REHASHED,
        "settlements_pay_for_their_units",
    ),
    planted(
        "what was only given back says that units were used",
        "update entry set units = 0 where kind = 10 and seq = movement" + REHASHED,
        "settlements_pay_for_their_units",
    ),
    planted(
        "the clock says how many units were used",
        "update entry set key_hash = null, request_hash = null where kind = 9 and units is not null"
        + REHASHED,
        "movements_are_whole",
    ),
    planted(
        "an ended reservation is open again",
        "update reservation set state = 'open' where state = 'released'",
        "reservations_hold_what_they_say",
    ),
    planted(
        "a settlement says that it took more",
        "update entry set total = total + 5 where kind = 9 and seq = movement" + REHASHED,
        "reservations_hold_what_they_say",
    ),
    planted(
        "an account holds for nobody",
        "delete from reservation where state = 'open'",
        "reservations_hold_what_they_say",
    ),
)
