"""The books: schema, the functions that write them, reads, and the audit.

- No account is ever overdrawn, at any concurrency: the functions in `sql/functions` decide under
  the account's lock, and a CHECK on the account's row restates the sum for every version of it.
- An accepted key makes one movement, for ever; a replay is answered before a refusal is considered,
  and a refusal leaves the key free.
- Entries are only ever appended, each with its two sides and a hash over the one before; every
  spent unit names its lot, and so the event it was granted for.
- What the entries say, what the lots say and what events and charges say are three sums that agree:
  `audit` checks it.

Amounts are micro-credits: 1 credit is 1,000,000.
"""
