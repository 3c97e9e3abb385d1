"""What can be typed about chains: accepting a reorg, and making good what was missed."""

import argparse
from typing import Final

from daemon.command_parts import Commands, add, add_group, add_json

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


def add_chain_commands(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the commands that look after chains."""
    _add_reorg(commands)


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
