"""Metrics: the counts that the daemon's parts keep, in the text format of Prometheus.

Nothing is counted here: each scrape reads the numbers where they are kept. Labels are names that the configuration
declares (namespaces, templates, entries) or a fixed list (codes, causes, one name for all undeclared namespaces),
never a room, user or address. So the number of series depends on the file alone, and anyone may read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import nlargest
from itertools import accumulate, chain
from math import inf

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from compartmentd import __version__
from compartmentd.control.reload import Reloader
from compartmentd.keys.remote import RemoteKeys
from compartmentd.names import NamespaceName
from compartmentd.policy.model import Namespace
from compartmentd.sessions.counters import ADMINISTRATION, UNDECLARED
from compartmentd.sessions.hub import Hub
from compartmentd.telemetry.logs import count_left_out
from compartmentd.telemetry.loop_lag import BOUNDS, LoopLag
from compartmentd.telemetry.metric_table import METRICS, MOST_TEMPLATES, PREFIX
from compartmentd.transport.server import SocketServer

ALLOWED = "allowed"
"""The label `code` of a decision that allowed."""

Sample = tuple[tuple[str, ...], float]
"""The values of a metric's labels, in their order, and its value."""


class Sources(msgspec.Struct, frozen=True):
    """The parts whose counts are read."""

    hub: Hub
    server: SocketServer
    reloader: Reloader
    remote: RemoteKeys
    lag: LoopLag


class Metrics:
    """All metrics of a process."""

    def __init__(self, sources: Sources) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Daemon(sources))
        ProcessCollector(registry=self._registry)

    def as_text(self) -> bytes:
        """Return all metrics in the text format, version 0.0.4."""
        return generate_latest(self._registry)


class _Daemon(Collector):
    """Reads the daemon's parts at every scrape."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> Iterable[Metric]:
        """Promise nothing in advance; the registry would read everything once to find out."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        sources = self._sources
        yield from _collect_configuration(sources.reloader)
        yield _collect_certificate(sources.reloader)
        yield from _collect_connections(sources.server)
        yield from _collect_sessions(sources.hub)
        yield from _collect_decisions(sources.hub)
        yield from _collect_messages(sources.hub)
        yield from _collect_tokens(sources.hub)
        yield from _collect_keys(sources.hub, sources.remote)
        yield _collect_lag(sources.lag)


def _build_single(name: str, value: float) -> Metric:
    """Return a metric of the table that has no labels."""
    return _build_metric(name, [((), value)])


def _build_metric(name: str, samples: Iterable[Sample]) -> Metric:
    """Return a gauge or counter of the table with these samples; it may have none."""
    metric = METRICS[name]
    family = _FAMILIES[metric.kind](f"{PREFIX}{name}", metric.text, labels=metric.labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


_FAMILIES: Mapping[str, type[GaugeMetricFamily | CounterMetricFamily]] = {
    "gauge": GaugeMetricFamily,
    "counter": CounterMetricFamily,
}


def _collect_configuration(reloader: Reloader) -> Iterator[Metric]:
    snapshot, last, tally = reloader.generation.snapshot, reloader.last, reloader.tally
    yield _build_metric("build_info", [((__version__,), 1)])
    yield _build_metric("config_info", [((snapshot.digest,), 1)])
    yield _build_single("config_generation", snapshot.generation)
    yield _build_single(
        "config_last_reload_successful",
        last is None or last.ok,
    )
    if last is not None:
        yield _build_single("config_last_reload_timestamp_seconds", last.at)
        yield _build_single("config_last_reload_duration_seconds", tally.seconds)
    yield _build_metric(
        "config_reloads",
        [
            (("changed",), tally.changed),
            (("unchanged",), tally.unchanged),
            (("refused",), tally.refused),
        ],
    )
    yield _build_metric(
        "config_evictions",
        [(("session",), tally.evicted.sessions), (("membership",), tally.evicted.memberships)],
    )


def _collect_certificate(reloader: Reloader) -> Metric:
    certificate = reloader.generation.certificate
    ends = [] if certificate is None else [((), certificate.expires_at)]
    return _build_metric("certificate_expiry_timestamp_seconds", ends)


def _collect_connections(server: SocketServer) -> Iterator[Metric]:
    load, counters = server.measure_load(), server.counters
    transports = [(("websocket",), load.websocket), (("polling",), load.polling)]
    yield _build_metric("connections", transports)
    most = server.options.connections
    yield _build_single("connections_limit", inf if most is None else most)
    yield _build_single("sockets", server.sockets)
    yield _build_single("pending", len(server.pending))
    yield _build_single("pending_limit", inf if server.options.pending is None else server.options.pending)
    yield _build_single("connections_opened", counters.opened)
    yield _build_single("connections_closed", counters.closed)
    yield _build_single("connections_upgraded", counters.upgraded)
    yield _build_metric(
        "connections_refused",
        [
            *(((reason,), count) for reason, count in counters.refusals.items()),
            (("connections",), counters.refused_full),
            (("connections_per_address",), counters.refused_address + counters.shed_address),
            (("connect_rate",), counters.refused_rate),
            (("head_size",), counters.refused_head),
            (("header_timeout",), counters.header_timeouts),
            (("body_timeout",), counters.body_timeouts),
            (("answer_timeout",), counters.answer_timeouts),
            (("pending",), counters.shed),
        ],
    )
    yield _build_metric(
        "connections_cut",
        [
            (("slow",), counters.slow),
            (("ping_timeout",), counters.ping_timeouts),
            (("connect_timeout",), counters.connect_timeouts),
            *(((reason,), count) for reason, count in counters.violations.items()),
            (("error",), counters.errors),
        ],
    )
    yield _build_single("received_bytes", counters.bytes_in)
    yield _build_single("sent_bytes", counters.bytes_out)
    yield _build_single("packets_dropped", counters.dropped)
    yield _build_single("send_buffer_bytes", load.unsent)
    yield _build_single("send_buffer_largest_bytes", load.most_unsent)
    yield _build_single("send_buffer_limit_bytes", server.options.send_buffer)
    yield _build_single("send_buffer_connections", load.behind)


def _collect_sessions(hub: Hub) -> Iterator[Metric]:
    live, declared = hub.registry.namespaces, _get_declared(hub)
    sessions = [((name,), len(live[name].sessions) if name in live else 0) for name in declared]
    yield _build_metric("sessions", sessions)
    rooms = _select_largest(hub.census.rooms)
    yield _build_metric("rooms", rooms)
    members = _select_largest(hub.census.members)
    yield _build_metric("memberships", members)
    ended = [((code.value,), count) for code, count in hub.counters.ended.items()]
    yield _build_metric("sessions_ended", ended)


def _select_largest(counts: Mapping[NamespaceName, Mapping[str, int]]) -> Iterator[Sample]:
    """Yield the counts of the templates with most, by namespace and template, and the sum of all others.

    The numbers alone are compared, and of equal ones at the limit the first are told: with 10,000 templates that
    takes 2 ms, where sorting them with their names took 6.
    """
    numbers = nlargest(MOST_TEMPLATES, chain.from_iterable(of.values() for of in counts.values()))
    least = max(1, numbers[-1]) if len(numbers) == MOST_TEMPLATES else 1
    places = MOST_TEMPLATES - sum(n > least for n in numbers)
    rest = 0
    for name, of in counts.items():
        for template, n in of.items():
            if n > least or (n == least and places):
                places -= n == least
                yield ((name, template), n)
            else:
                rest += n
    if rest:
        yield (("", ""), rest)


def _collect_decisions(hub: Hub) -> Iterator[Metric]:
    declared, counters = _get_declared(hub), hub.counters
    yield _build_metric(
        "decisions",
        [
            ((request, namespace, ALLOWED if code is None else code.value), count)
            for (request, namespace, code), count in counters.decided.items()
            if namespace in declared or namespace in (ADMINISTRATION, UNDECLARED)
        ],
    )
    yield _build_single("refusals_unanswered", counters.unanswered)
    yield _build_single("log_lines_left_out", count_left_out())
    yield _build_single("auto_joins_skipped", counters.auto_join_skipped)
    yield _build_single("requests_waiting_refused", hub.refused_waiting)
    yield _build_single("floods_closed", counters.floods_closed)
    spent = hub.spent_rates
    yield _build_single("rates_kept", len(spent))
    yield _build_single("rates_kept_limit", spent.capacity)
    yield _build_single("rates_forgotten", spent.forgotten)
    observed = hub.observed_limits
    yield _build_metric(
        "limits_observed", [(key, count) for key, count in observed.items() if key[0] in declared]
    )


def _collect_messages(hub: Hub) -> Iterator[Metric]:
    counters = hub.counters
    yield _build_single("messages_published", counters.published)
    yield _build_single("deliveries", counters.delivered)
    yield _build_single("deliveries_dropped", counters.volatile_dropped)
    yield _build_single("payloads_too_costly", counters.payloads_too_costly)


def _collect_tokens(hub: Hub) -> Iterator[Metric]:
    memory = hub.memory
    yield _build_single("token_memory_entries", len(memory))
    yield _build_single("token_memory_bytes", memory.bytes)
    yield _build_single("token_memory_limit_bytes", memory.budget)
    yield _build_metric(
        "token_memory_dropped",
        [
            (("expired",), memory.expired),
            (("full",), memory.crowded_out),
            (("withdrawn",), memory.withdrawn),
        ],
    )
    yield _build_metric(
        "token_verifications",
        [(("memory",), memory.hits), (("signature",), memory.misses)],
    )
    yield _build_single("tokens_unseen", hub.unseen_tokens)
    yield _build_single("revocations", len(hub.revocations))


def _collect_keys(hub: Hub, remote: RemoteKeys) -> Iterator[Metric]:
    keys_in_force = hub.snapshot.keys
    keys = [((name,), len(group)) for name, group in keys_in_force.keys.items()]
    yield _build_metric("keys", keys)
    fetched = remote.build_status()
    ages = [((name,), state["age"]) for name, state in fetched.items() if state["age"] is not None]
    yield _build_metric("keys_age_seconds", ages)
    for key, name in _KEY_COUNTS:
        yield _build_metric(name, [((entry,), state[key]) for entry, state in fetched.items()])


_KEY_COUNTS = (
    ("fetches", "key_fetches"),
    ("failures", "key_fetch_failures"),
    ("unknown_kids", "key_unknown"),
)


def _collect_lag(lag: LoopLag) -> Metric:
    bounds = ["+Inf" if bound == inf else str(bound) for bound in BOUNDS]
    return HistogramMetricFamily(
        f"{PREFIX}event_loop_lag_seconds",
        METRICS["event_loop_lag_seconds"].text,
        buckets=list(zip(bounds, accumulate(lag.counts), strict=True)),
        sum_value=lag.total,
    )


def _get_declared(hub: Hub) -> Mapping[NamespaceName, Namespace]:
    """Return the namespaces that are declared now: what is counted for others went with them."""
    return hub.snapshot.configuration.policy.namespaces
