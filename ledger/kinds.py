"""The kinds of entries, as the table `entry_kind` numbers them."""

from enum import IntEnum


class EntryKind(IntEnum):
    """What an entry does. The table `entry_kind` says between which sides it moves credits."""

    GRANT = 1
    CHARGE = 2
    REFUND = 3
    REVERSAL = 4
    DEBT = 5
    REPAYMENT = 6
    EXPIRY = 7
    RESERVE = 8
    SETTLEMENT = 9
    RELEASE = 10
    ABSORPTION = 11
    RECOVERY = 12
    MOVE_OUT = 13
    MOVE_IN = 14
    DEBT_OUT = 15
    DEBT_IN = 16
    CREDIT_LINE = 17
    LINE_CUT = 18
