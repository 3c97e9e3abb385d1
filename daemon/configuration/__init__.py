"""What the operator says: the file, the chains and sources in it, and every mistake in them."""
