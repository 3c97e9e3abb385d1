"""Following a chain: one step at a time (`watcher.advance`), decided by pure code (`steps`)."""
