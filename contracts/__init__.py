"""What the chain says.

`solidity/` holds the contracts creditd brings along, `artifacts/` what they compile to
(`build.mjs` makes the one from the other; Python only reads the result). `catalogue` knows events:
the text of a signature, with its `indexed`, becomes a decoder that takes a log exactly as it must
be or says why not. `logs` is a log as bytes, `calls` the bytes of a call, `artifacts` what to
deploy, `proof_of_work` how to mine.

Everything here is pure: bytes in, values out. Nothing asks a node, and nothing decides whose log
counts: any contract may emit any log, so who calls a decoder has matched the emitter first.
"""
