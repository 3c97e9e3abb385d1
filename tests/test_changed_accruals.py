"""A file of what a stake earned in a period that somebody changed is found out."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from accruals_on_chain import CREDIT, HOUR, SHAPES, evidence, granted
from scene import BOB, MINE, TOKEN, scene
from watched_stakes import DAY, MIDNIGHT, held

from contracts.hashing import keccak
from daemon.chain.evidence import encoded_receipts, header_rlp, prove_header
from daemon.chain.trie import ordered_proof
from daemon.evidence_files.evidence_file import NoEvidence
from daemon.evidence_files.grant_evidence import check

Change = Callable[[dict[str, Any]], object]


def later(document: dict[str, Any]) -> None:
    document["event"]["tx_hash"] = (
        document["event"]["tx_hash"][:10]
        + (MIDNIGHT + 3 * DAY).to_bytes(8).hex()
        + document["event"]["tx_hash"][26:]
    )
    document["period"]["end"] += DAY


# What somebody might write into a file, to be paid more or for something else.
CHANGES: dict[str, Change] = {
    "more credits": lambda d: d["grant"].update(credits_micro=d["grant"]["credits_micro"] + 1),
    "more granted": lambda d: d["grant"].update(granted_micro=d["grant"]["granted_micro"] + 1),
    "another wallet": lambda d: d["event"].update(wallet="0x" + BOB.hex()),
    "the key of another wallet": lambda d: d["event"].update(
        tx_hash=d["event"]["tx_hash"][:-40] + BOB.hex()
    ),
    "more at the end": lambda d: d["event"].update(amount=d["event"]["amount"] + "1"),
    "a better rule": lambda d: d["rule"].update(divisor=str(int(d["rule"]["divisor"]) // 2)),
    "a better rate": lambda d: d["rule"].update(rates=[[0, 2 * CREDIT]]),
    "a rate of before": lambda d: d["rule"].update(rates=[[5, CREDIT]]),
    "rates twice": lambda d: d["rule"].update(rates=[[0, CREDIT], [0, CREDIT]]),
    "no rates": lambda d: d["rule"].update(rates=[]),
    "a divisor of nothing": lambda d: d["rule"].update(divisor="0"),
    "a longer period": lambda d: d["rule"].update(period_seconds=2 * DAY),
    "a period of nothing": lambda d: d["rule"].update(period_seconds=0),
    "a rate of no whole number": lambda d: d["rule"].update(rates=[[0, 1e6]]),
    "a holding time": lambda d: d["rule"].update(hold_seconds=HOUR),
    "another end": lambda d: d["period"].update(end=d["period"]["end"] - DAY),
    "a later end": later,
    "an event and no period": lambda d: d["event"].update(ordinal=0),
    "another ending block": lambda d: d.update(header=d["before"]),
    "another block before": lambda d: d.update(before=d["header"]),
    "another time of the end": lambda d: d["header"].update(timestamp="0x1"),
    "a change less": lambda d: d["changes"].pop(),
    "a change twice": lambda d: d["changes"].append(d["changes"][-1]),
    "changes in another order": lambda d: d["changes"].reverse(),
    "a change of more": lambda d: d["changes"][0].update(amount=str(5 * TOKEN)),
    "a take that adds": lambda d: d["changes"][1].update(role="adds"),
    "a change of another log": lambda d: d["changes"][1].update(ordinal=7),
    "a change of another receipt": lambda d: d["changes"][1].update(receipt=1),
    "a change of no block": lambda d: d["changes"][1].update(block_number=1),
    "a change and no transaction": lambda d: d["changes"][1].update(tx_hash="0x"),
    "a block less": lambda d: d["blocks"].pop(),
    "a block twice": lambda d: d["blocks"].append(d["blocks"][0]),
    "the end as a block": lambda d: d["blocks"].append({"header": d["header"], "receipts": []}),
    "another time of a block": lambda d: d["blocks"][0]["header"].update(timestamp="0x1"),
    "another root": lambda d: d["blocks"][0]["header"].update(receiptsRoot="0x" + "11" * 32),
    "a path cut short": lambda d: d["blocks"][0]["receipts"][0]["path"].pop(),
    "an index below 0": lambda d: d["blocks"][0]["receipts"][0].update(index=-1),
    "another index": lambda d: d["blocks"][0]["receipts"][0].update(index=1),
    "another contract": lambda d: d["source"].update(contracts=["0x" + MINE.hex()]),
    "takes that are not followed": lambda d: d["source"]["events"].pop(),
    "events by another name": lambda d: d["source"]["events"][0].update(
        signature="Joined(address indexed user,uint256 amount)"
    ),
    "events of another field": lambda d: d["source"]["events"][0].update(where={"amount": 1}),
    "events of later blocks": lambda d: d["source"]["events"][0].update(from_block=1_000),
    "events that earn": lambda d: d["source"]["events"][0].update(role="earns"),
    "no header": lambda d: d.pop("header"),
    "no blocks": lambda d: d.pop("blocks"),
    "no period": lambda d: d.pop("period"),
    "a list for a part": lambda d: d.update(period=[]),
    "granted before is less than nothing": lambda d: (
        d["grant"].update(credits_micro=2 * CREDIT),
        d["period"].update(granted_before_micro=-3 * CREDIT // 4),
    ),
}


def test_a_file_that_was_changed_is_found_out_whatever_was_changed(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await granted(here, SHAPES["takes"])
            text = await evidence(here, held(), 1)
            for name, spoils in CHANGES.items():
                document = json.loads(text)
                spoils(document)
                assert check(json.dumps(document)).broken is not None, name

    asyncio.run(main())


def rehashed(header: dict[str, Any], **changed: str) -> dict[str, Any]:
    """A header that somebody made up: it hashes to its hash."""
    made = {**header, **changed}
    return {**made, "hash": f"0x{keccak(header_rlp(made)).hex()}"}


def ends_with(document: dict[str, Any], header: dict[str, Any]) -> None:
    document["header"] = header
    document["event"]["block_hash"] = header["hash"]
    document["event"]["block_number"] = int(header["number"], 16)


def too_early(document: dict[str, Any]) -> None:
    end = document["period"]["end"]
    ends_with(document, rehashed(document["header"], timestamp=hex(end - 1)))


def too_late(document: dict[str, Any]) -> None:
    """Of the block after the first one at or after the end."""
    document["before"] = first = document["header"]
    number = hex(int(first["number"], 16) + 1)
    ends_with(document, rehashed(first, number=number, parentHash=first["hash"]))


def at_another_time(document: dict[str, Any]) -> None:
    block = document["blocks"][1]
    block["header"] = rehashed(block["header"], timestamp=hex(MIDNIGHT - 1))


FORGED: dict[str, Change] = {
    "does not follow on the header before": lambda d: d.update(
        before=rehashed(d["before"], extraData="0x12")
    ),
    "hashes to": lambda d: d.update(header=rehashed(d["header"], extraData="0x12")),
    "is not the first at or after the end of the period": too_early,
    "is not the first at or after": too_late,
    "a block is older than one before it": at_another_time,
}


def test_headers_that_are_made_up_are_found_out(database_url: str) -> None:
    async def main() -> None:
        async with scene(database_url) as here:
            await granted(here, SHAPES["takes"])
            text = await evidence(here, held(), 1)
            for reason, forges in FORGED.items():
                document = json.loads(text)
                forges(document)
                assert reason in (check(json.dumps(document)).broken or ""), reason

    asyncio.run(main())


def test_what_somebody_sends_to_himself_is_no_change(database_url: str) -> None:
    """Its log, in the file, is refused, whichever change it is said to be."""

    async def main() -> None:
        async with scene(database_url) as here:
            shape = SHAPES["transfers"]
            await granted(here, shape)
            text = await evidence(here, shape.source, 1)
            block = here.chain.block(1)
            header = prove_header(block.header_json, 1)
            encoded = encoded_receipts(block.receipts_json, header)
            path = [f"0x{node.hex()}" for node in ordered_proof(encoded, 1)]
            for role in ("adds", "takes"):
                document = json.loads(text)
                document["blocks"][0]["receipts"].append({"index": 1, "path": path})
                document["changes"].insert(
                    1,
                    document["changes"][0] | {"receipt": 1, "role": role, "amount": str(TOKEN)},
                )
                assert "says [] of the stake" in (check(json.dumps(document)).broken or "")

    asyncio.run(main())


def test_a_file_that_was_changed_anywhere_says_so_or_says_the_same(database_url: str) -> None:
    """Any leaf of it, whatever it is: what stays proven is what was proven."""

    async def main() -> None:
        async with scene(database_url) as here:
            await granted(here, SHAPES["takes"])
            text = await evidence(here, held(), 1)
            before, rng = check(text), Random(3)
            after = before
            harmless = {"number", "granted", "account", "chain_id", "name", "tx_hash", "hash"}
            for _ in range(300):
                document = json.loads(text)
                key = spoil(document, rng)
                with suppress(NoEvidence):
                    after = check(json.dumps(document))
                if after.broken is None:
                    assert key in harmless or after.proven == before.proven, key

    asyncio.run(main())


def spoil(document: Any, rng: Random) -> str:  # noqa: ANN401 - any part of a file
    """Change one leaf of a file, and return what it is called."""
    key: Any = ""
    while True:
        named = isinstance(document, dict)
        choices = [
            each
            for each in (document if named else range(len(document)))
            if document[each] not in ([], {})
        ]
        step = rng.choice(choices)
        key = step if named else key
        if isinstance(document[step], (dict, list)):
            document = document[step]
            continue
        match document[step]:
            case int(number):
                document[step] = number + rng.choice((-1, 1, DAY))
            case str(said):
                place = rng.randrange(len(said))
                document[step] = said[:place] + rng.choice("0123456789abcdef") + said[place + 1 :]
            case None:
                document[step] = 0
        return str(key)
