"""What can be typed about chains: accepting a reorg, and making good what was missed."""

import argparse
from pathlib import Path
from typing import Final

from daemon.command_line.command_parts import Commands, account, add, add_group, add_json

HASH_LENGTH: Final = 32

_REORG: Final = "Look at a reorg past confirmation, and accept it."
_REORG_SHOW: Final = """\
Show why a chain is halted; if it left a confirmed block, what its nodes show
there now, and what would be taken back if the new history were accepted. Asks
the nodes. Exits with 1 if the chain is halted.

example:
  creditd reorg show ethereum
"""
_REORG_ACCEPT: Final = """\
Say that the new history is true, where a chain has left a confirmed block. The
block and its new hash are those that `creditd reorg show` names: look them up
elsewhere first, an explorer or a node of somebody else's. Your name and the
reason are kept in the books for good.

The watcher that leads the chain, or the next one, then takes back what the left
blocks granted: once its node shows that very hash, linked to a block of the
books, and no other node contradicts. Until then the chain stays halted, through
every restart. Safe to run again. Exits with 1 if there is no such halt.

example:
  creditd reorg accept ethereum --block 21000000 --hash 0x… \\
    --by alice --reason "the fork of November 3, as its developers announced"
"""
_SET_ASIDE: Final = """\
List the logs that are set aside: they have the address and the first topic of
an event that a source follows, and are not exactly that event, or would earn
more than one grant may be. Nothing of them is guessed at, and nothing lost.
Exits with 1 if there are any.
"""
_REPLAY: Final = """\
Read the logs of a source that were set aside again, decode them as the
configuration says today, and grant what matches now; what does not stays set
aside, with the reason. Each block is proven anew, and entered by itself: it may
be interrupted and run again. Works beside the watcher. Exits with 1 if
something stays, with 2 if a block could not be read. An operator's port does
the same: POST /v1/replays.

example:
  creditd replay --source vault-stakes
"""
_VERIFY: Final = """\
Read confirmed blocks again, proven, from the last node under rpc_url (or --rpc)
first, and compare what they say with the books: events that are missing, events
that are not on the chain, events that are told otherwise, and blocks of another
hash. Works beside the watcher; says how far it is every five seconds. Exits
with 1 if anything differs.

With --repair missing events are entered and granted, as if they had been seen
in time. What is not on the chain is only shown, with what was granted for it:
look at the chain elsewhere, and take it back by hand if it is so.

examples:
  creditd verify --chain ethereum --from 21000000 --to 21010000
  creditd verify --chain ethereum --from 21000000 --rpc https://… --repair
"""
_BACKFILL: Final = """\
Read a source in the blocks that were read without it, and grant what it earned
there: for a source that is new in the configuration and begins behind the
cursor, or that was taken out and is back. Until then the watcher refuses it.

Each part is proven and granted by itself, so it may be interrupted and run
again. Run it when no watcher of an older configuration runs any more: what that
one reads on is without the source. Then start the watcher.

example:
  creditd backfill --source vault-stakes
"""
_REWIND: Final = """\
Forget the pending blocks of a chain above one, so that its watcher reads them
again: after a node told them wrong in a way that no proof covers. Confirmed
blocks stay; `creditd verify` reads those again. A watcher that leads the chain
steps down for it, and leads again with its next turn.

example:
  creditd rewind ethereum --to 21000000
"""
_EVIDENCE: Final = """\
Write the evidence of one grant as JSON: the header of its event's block, the
way from that header to the event's log, what the event is, and the rule. Of
what a stake earned in a period, the same of every change of the stake. Asks a
node of the chain. With --check read such a file instead and recompute all of
it, without a node, the books or a configuration: it prints what is proven, step
by step, and what has to be believed. Exits with 1 if a step does not hold.

examples:
  creditd evidence --account acct_… --grant 3 > grant.json
  creditd evidence --check grant.json
"""


def add_chain_commands(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the commands that look after chains."""
    _add_reorg(commands)
    aside = add(commands, "set-aside", "logs that no source understood", _SET_ASIDE)
    aside.add_argument("--source", metavar="NAME", help="of this source alone")
    add_json(aside)
    again = add(commands, "replay", "decode logs set aside again", _REPLAY)
    _add_source(again)
    _add_range(again)
    again.add_argument(
        "--list", type=_count, metavar="N", help="list at most N of those that stay (default: all)"
    )
    add_json(again)
    verify = add(commands, "verify", "read final blocks again, compare", _VERIFY)
    verify.add_argument("--chain", metavar="NAME", required=True, help="its configured name")
    _add_range(verify)
    verify.add_argument("--rpc", metavar="URL", help="the node to read them from")
    verify.add_argument("--repair", action="store_true", help="grant what is missing")
    add_json(verify)
    _add_source(add(commands, "backfill", "read what lies behind for a new source", _BACKFILL))
    evidence = add(commands, "evidence", "prove a grant to anybody", _EVIDENCE)
    evidence.add_argument("--account", type=account, metavar="acct_…", help="whose grant it is")
    evidence.add_argument(
        "--grant", type=int, metavar="N", help="its number: that of its entry in the account"
    )
    evidence.add_argument("--check", type=Path, metavar="FILE", help="check this file instead")
    rewind = add(commands, "rewind", "read pending blocks again", _REWIND)
    _add_chain(rewind)
    rewind.add_argument(
        "--to", type=int, metavar="N", required=True, help="the last block that stays"
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):  # noqa: PLR2004 - 32 bits
        raise argparse.ArgumentTypeError("must be a number, 0 or more")
    return int(text)


def _add_reorg(commands: "Commands[argparse.ArgumentParser]") -> None:
    reorg = add_group(commands, "reorg", "a reorg past confirmation: look, accept", _REORG)
    show = add(reorg, "show", "why a chain is halted", _REORG_SHOW, group="reorg")
    _add_chain(show)
    add_json(show)
    accept = add(reorg, "accept", "say that the new history is true", _REORG_ACCEPT, group="reorg")
    _add_chain(accept)
    accept.add_argument(
        "--block", type=int, metavar="N", required=True, help="the confirmed block that was left"
    )
    accept.add_argument(
        "--hash", type=_hash, metavar="0x…", required=True, help="what stands there instead"
    )
    accept.add_argument("--by", metavar="WHO", required=True, help="your name")
    accept.add_argument("--reason", metavar="WHY", required=True, help="how you know")


def _add_source(command: argparse.ArgumentParser) -> None:
    command.add_argument("--source", metavar="NAME", required=True, help="its configured name")


def _add_range(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--from",
        type=int,
        metavar="N",
        dest="first",
        default=0,
        help="the first block (default: 0)",
    )
    command.add_argument(
        "--to",
        type=int,
        metavar="M",
        dest="last",
        help="the last one (default: the last final one)",
    )


def _add_chain(command: argparse.ArgumentParser) -> None:
    command.add_argument("chain", metavar="CHAIN", help="its configured name")


def _hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != HASH_LENGTH or text != f"0x{found.hex()}":
        raise argparse.ArgumentTypeError(
            f"must be a block's hash: 0x and {2 * HASH_LENGTH} hexadecimal digits in small letters"
        )
    return found
