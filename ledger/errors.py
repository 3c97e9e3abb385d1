"""What nobody can go on from: each says what is wrong and who can mend it."""


class LedgerError(Exception):
    """The ledger cannot do what was asked; nothing was written."""


class LedgerUnavailable(LedgerError):
    """Postgres cannot be reached or did not answer. The same key may be tried again safely."""


class LedgerBusy(LedgerError):
    """Others hold it up: a full queue, a locked account, the sessions that a migration waits for.

    The same key may be tried again after a moment.
    """


class SchemaMismatch(LedgerError):
    """The database was made by another version of creditd."""


class WrongChain(LedgerError):
    """The books follow another chain than the node shows."""


class AnotherLeader(LedgerError):
    """Another watcher leads this chain."""


class Deposed(LedgerError):
    """A later watcher leads this chain. What this one was about to write is not written."""


class BrokenLink(LedgerError):
    """The blocks to be written do not follow the last one in the books."""


class SeenAlready(LedgerError):
    """An event to be written is on the canonical chain already, in another block."""


class RuleConflict(LedgerError):
    """A source in the configuration says otherwise than the books do under its name."""


class NotLate(LedgerError):
    """What is to come in late may not: the books say otherwise, or it is not time for it yet."""


class BadDatabaseUrl(LedgerError, ValueError):
    """The address of the database is none of PostgreSQL's."""


class UnknownAccount(LedgerError):
    """There is no such account in the books: look up its name again."""


def closed_unanswered() -> LedgerUnavailable:
    """Return what whoever still waits is told when the ledger is closed."""
    return LedgerUnavailable("the ledger was closed before it answered")
