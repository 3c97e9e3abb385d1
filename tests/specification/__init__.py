"""The ledger in the simplest words: what its functions are held to."""
