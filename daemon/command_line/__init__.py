"""`creditd`: its arguments, and what its commands print."""
