"""What operators see of the chains, the alarms and the charges, over HTTP."""

from conftest import earn, run
from live_api import CREDIT, LiveApi

WALLET = bytes.fromhex("11" * 20)


def test_the_status_shows_every_chain(api: LiveApi) -> None:
    assert api.get("/status").json() == {"chains": [], "alarms": []}
    earn(api.database_url, WALLET, CREDIT)
    run(
        api.database_url,
        "update creditd.chain set head_number = 7, state = 'halted', reason = 'a test',"
        " reorgs = 2, last_reorg_at = '2026-01-01 00:00:00Z', last_reorg_depth = 3",
    )
    (chain,) = api.get("/status").json()["chains"]
    assert (chain["head_number"], chain["indexed_number"], chain["lag_blocks"]) == (7, 0, 7)
    assert (chain["state"], chain["reason"]) == ("halted", "a test")
    assert chain["last_reorg"] == {"at": "2026-01-01T00:00:00Z", "depth": 3}
    metrics = api.get("/metrics").text
    assert 'creditd_chain_head_block{chain="chain-31337"} 7.0' in metrics
    assert 'creditd_chain_state{chain="chain-31337",state="halted"} 1.0' in metrics
    assert 'creditd_chain_reorgs_total{chain="chain-31337"} 2.0' in metrics
    assert api.get("/readyz").status_code == 200
    (alarm,) = api.get("/status").json()["alarms"]
    assert (alarm["chain"], alarm["alarm"], alarm["said"]) == ("chain-31337", "halted", "a test")
    assert alarm["remedy"]
    assert 'creditd_alarm{alarm="halted",chain="chain-31337"} 1.0' in metrics
    assert 'creditd_alarm{alarm="behind",chain="chain-31337"} 0.0' in metrics
    assert 'creditd_alarm{alarm="books",chain=""} 0.0' in metrics


def test_charges_and_answers_are_counted(api: LiveApi) -> None:
    earn(api.database_url, WALLET, 20 * CREDIT)
    account = api.open_wallet(WALLET)
    for key in ("a", "a", "b", "c"):
        api.charge(account, "report.render", key=key)
    api.charge(account, "no.such.operation")
    metrics = api.get("/metrics").text.splitlines()
    for line in (
        'creditd_charges_total{operation="report.render",outcome="charged"} 2.0',
        'creditd_charges_total{operation="report.render",outcome="replayed"} 1.0',
        'creditd_charges_total{operation="report.render",outcome="insufficient"} 1.0',
        'creditd_charges_total{operation="",outcome="refused"} 1.0',
        'creditd_charged_credits_total{operation="report.render"} 14.0',
        'creditd_http_requests_total{endpoint="charge",status="201"} 3.0',
        'creditd_http_requests_total{endpoint="charge",status="402"} 1.0',
        "creditd_ledger_up 1.0",
    ):
        assert line in metrics
    assert "no.such.operation" not in "".join(metrics)
