"""From chain to grants: the watcher, the rules, the jobs, and the command line.

A turn of `watching.watcher` reads the next blocks with their evidence (`chain.reading`,
`chain.evidence`), finds what is earned in them (`watching.earning`), and writes blocks, events,
grants and the cursor in one transaction (`ledger.watching`). What to do next is decided by pure
code (`watching.steps`). Each part stands on those after it: `command_line`; `demo`, `jobs`,
`evidence_files`; `rereading`, `processes`; `watching`; `configuration`; `chain`.

- An event is granted once, when it is final by its chain's rule, whatever is restarted or replayed.
- The cursor passes no block without proof of what its logs are; an empty answer proves nothing.
- A lower head is never a reorg. A reorg of pending blocks drops them; one past confirmation halts
  the chain's grants or, where the chain is set to it, takes them back.
- Only the leader of a chain writes, and a deposed one cannot.
"""
