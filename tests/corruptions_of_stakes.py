"""What could go wrong with stakes, as `corruptions` has it for the rest."""

from corruptions import planted

IN_THE_STAKES = (
    planted(
        "a stake is more than was ever staked",
        "update stake set balance = balance + 1",
        "stakes_follow_their_events",
    ),
    planted(
        "a stake was told to have earned more than it was granted",
        "update stake set credited = credited + 1",
        "stakes_follow_their_events",
    ),
    planted(
        "a stake is forgotten",
        "delete from stake",
        "stakes_follow_their_events",
    ),
    planted(
        "stakes were granted more than their time is worth",
        "update rule set rates_micro[1] = rates_micro[1] - 1000 where divisor is not null",
        "stakes_follow_their_events",
    ),
    planted(
        "what a stake was granted is that of another wallet",
        "update event set wallet = '\\x01'::bytea where ordinal < 0",
        "stakes_follow_their_events",
    ),
)
