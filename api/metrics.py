"""What the process counts, and how far the chains are, for Prometheus.

Labels are few and bounded: chains, priced operations, endpoints. Never accounts or wallets.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from ledger.alarms import KINDS, Alarm
from ledger.credits import MICRO_PER_CREDIT
from ledger.outcomes import Charged, ChargeOutcome, Insufficient, OverBudget, OverKeyCap
from ledger.reading import ChainRow

# The version that `generate_latest` writes.
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# From a charge that went alone on an idle machine to one at the end of its patience.
CHARGE_SECONDS_BUCKETS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
)
CHAIN_STATES: Final = ("syncing", "following", "halted")


class Metrics:
    """The counters of one process, and its registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        # Counted on every request, so as plain numbers: what a scrape makes of them is made then.
        self._requests: dict[tuple[str, int], int] = {}
        self._charges: dict[tuple[str, str], int] = {}
        self._charged_micro: dict[str, int] = {}
        self._charges_within = [0] * (len(CHARGE_SECONDS_BUCKETS) + 1)
        self._charge_seconds = 0.0
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)

    def answered(self, endpoint: str, status: int) -> None:
        """Count an answer."""
        counted = endpoint, status
        self._requests[counted] = self._requests.get(counted, 0) + 1

    def charge_decided(self, operation: str, outcome: ChargeOutcome, seconds: float) -> None:
        """Count what came of a charge. `operation` is a label only where the ledger knows it."""
        self._charge_seconds += seconds
        self._charges_within[bisect_left(CHARGE_SECONDS_BUCKETS, seconds)] += 1
        match outcome:
            case Charged(charge, replayed=False):
                counted = operation, "charged"
                micro = self._charged_micro.get(operation, 0) + charge.cost
                self._charged_micro[operation] = micro
            case Charged():
                counted = operation, "replayed"
            case Insufficient():
                counted = operation, "insufficient"
            case OverKeyCap():
                counted = operation, "over_key_cap"
            case OverBudget():
                counted = operation, "over_budget"
            case _:
                counted = "", "refused"
        self._charges[counted] = self._charges.get(counted, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Return what was counted, for the registry."""
        requests = CounterMetricFamily(
            "creditd_http_requests", "Requests answered.", labels=("endpoint", "status")
        )
        for (endpoint, status), count in self._requests.items():
            requests.add_metric((endpoint, str(status)), count)
        charges = CounterMetricFamily(
            "creditd_charges",
            "Charges asked for, by what came of them.",
            labels=("operation", "outcome"),
        )
        for counted, count in self._charges.items():
            charges.add_metric(counted, count)
        credits_charged = CounterMetricFamily(
            "creditd_charged_credits",
            "Credits taken by charges, refunds not subtracted.",
            labels=("operation",),
        )
        for operation, micro in self._charged_micro.items():
            # The format knows doubles only; the books stay integers.
            credits_charged.add_metric((operation,), micro / MICRO_PER_CREDIT)
        seconds = HistogramMetricFamily(
            "creditd_charge_duration_seconds",
            "Time the ledger took to answer a charge, queueing included.",
        )
        bounds = (*map(floatToGoString, CHARGE_SECONDS_BUCKETS), "+Inf")
        within = list(zip(bounds, accumulate(self._charges_within), strict=True))
        seconds.add_metric((), within, self._charge_seconds)
        yield from (requests, charges, credits_charged, seconds)

    def render(self, chains: Sequence[ChainRow] | None, alarms: Sequence[Alarm] = ()) -> bytes:
        """Return the exposition; `chains` is None where the ledger could not be read."""
        at_scrape = CollectorRegistry()
        at_scrape.register(_Chains(chains, alarms))
        return generate_latest(self._registry) + generate_latest(at_scrape)


class _Chains:
    """The books' view of every chain, as a collector of one scrape."""

    def __init__(self, chains: Sequence[ChainRow] | None, alarms: Sequence[Alarm]) -> None:
        self._chains = chains
        self._alarms = alarms

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("creditd_ledger_up", "Whether the ledger could be read.")
        up.add_metric((), 0 if self._chains is None else 1)
        yield up
        yield from _chain_metrics(self._chains or ())
        if self._chains is not None:
            yield _alarm_metric(self._chains, self._alarms)


def _chain_metrics(chains: Sequence[ChainRow]) -> Iterator[Metric]:
    head = _gauge("head_block", "Newest block the node has shown.")
    indexed = _gauge("indexed_block", "Last block read and proven.")
    confirmed = _gauge("confirmed_block", "Last block whose events are granted.")
    indexed_time = _gauge("indexed_timestamp_seconds", "Time of the last block read and proven.")
    confirmed_time = _gauge("confirmed_timestamp_seconds", "Time of the last block granted.")
    seen = _gauge("watcher_seen_timestamp_seconds", "When a watcher last led the chain.")
    depth = _gauge("last_reorg_depth_blocks", "Blocks orphaned by the last reorganisation.")
    state = _gauge("state", "1 for the state the chain is in.", "state")
    reorgs = CounterMetricFamily(
        "creditd_chain_reorgs", "Reorganisations undone.", labels=("chain",)
    )
    for chain in chains:
        head.add_metric((chain.name,), chain.head_number)
        indexed.add_metric((chain.name,), chain.indexed_number)
        confirmed.add_metric((chain.name,), chain.confirmed_number)
        reorgs.add_metric((chain.name,), chain.reorgs)
        for family, at in (
            (indexed_time, chain.indexed_time),
            (confirmed_time, chain.confirmed_time),
            (seen, chain.leader_seen_at),
        ):
            if at is not None:
                family.add_metric((chain.name,), at.timestamp())
        if chain.last_reorg_depth is not None:
            depth.add_metric((chain.name,), chain.last_reorg_depth)
        for known in CHAIN_STATES:
            state.add_metric((chain.name, known), int(chain.state == known))
    yield from (head, indexed, confirmed, indexed_time, confirmed_time, seen, depth, state, reorgs)


def _alarm_metric(chains: Sequence[ChainRow], alarms: Sequence[Alarm]) -> Metric:
    """Return 1 for each alarm that there is, 0 for each that there could be."""
    family = GaugeMetricFamily(
        "creditd_alarm",
        "1 where an operator has to look: /status says at what. No chain: the books themselves.",
        labels=("chain", "alarm"),
    )
    raised = {(each.chain or "", each.kind) for each in alarms}
    *of_chains, of_books = KINDS
    for chain, kind in [
        *((chain.name, kind) for chain in chains for kind in of_chains),
        ("", of_books),
    ]:
        family.add_metric((chain, kind), int((chain, kind) in raised))
    return family


def _gauge(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"creditd_chain_{name}", documentation, labels=("chain", *labels))
