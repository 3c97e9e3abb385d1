"""Random histories of a chain, its nodes and the daemon, and the proof that none ends wrong.

The argument, one file a step. Everything is drawn from one integer, the seed.

`world`     what the chain does: grows, forks, flips, shrinks, becomes final, breaks its finality.
`nodes`     what is shown of it: nodes that lag, fork and lie, behind URLs that fail. What each URL
            has called its chain, and final, is noted.
`wire`      how it is asked: the daemon's own client over an exchange in memory (or real sockets).
`process`   who asks: the daemon's own follower and ledger, killed or cut off at any await.
`oracle`    what must come of it: the chain's records folded by the rules, in other words than ours.
`stakes`    the same of stakes that earn by time, by their definition.
`promises`  what is held after every turn, and what must be true once all faults are over.
`history`   what happens next, drawn; then all faults end, and the last word is compared.
`telling`   the database, the reproduction of a seed, the progress of many.

docs/faults.md says what may happen and what is promised; `history.ACTIONS` is its other half.
"""
