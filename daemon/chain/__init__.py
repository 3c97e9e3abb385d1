"""A chain as its nodes show it, unbelieved until it is proven: transport, evidence, reading."""
