"""Final blocks read again: the auditor, and what an operator does about what was missed."""
