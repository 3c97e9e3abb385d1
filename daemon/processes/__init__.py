"""What programs of ours are made of: children, signals, log lines, an embedded database."""
