"""Metrics: the plain counts that the daemon's parts keep, told in the form that Prometheus reads.

Nothing is counted here. Each scrape reads what is there, so that a metric costs what its number costs where it is
kept, and no more. Labels are what the configuration declares (namespaces, templates, entries) or a fixed list
(codes, causes, one name for all namespaces that are not declared), never a room, user or address: the number of
series depends on the file alone, and anyone may read them.
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
from compartmentd.telemetry.logs import left_out
from compartmentd.telemetry.loop_lag import BOUNDS, LoopLag
from compartmentd.transport.server import SocketServer

ALLOWED = "allowed"
"""The label `code` of a decision that allowed."""

MOST_TEMPLATES = 200
"""Templates that are told one by one; each costs a scrape 20 µs, in which nothing else runs."""

_THE_REST = f"beyond the {MOST_TEMPLATES} largest the rest is summed up, without labels"

Sample = tuple[tuple[str, ...], float]
"""The values of a metric's labels, in their order, and its value."""


class Sources(msgspec.Struct, frozen=True):
    """Whose counts are told."""

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

    def text(self) -> bytes:
        """Return them in the text format, version 0.0.4."""
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
        yield from _configuration(sources.reloader)
        yield _certificate(sources.reloader)
        yield from _connections(sources.server)
        yield from _sessions(sources.hub)
        yield from _decisions(sources.hub)
        yield from _messages(sources.hub)
        yield from _tokens(sources.hub)
        yield from _keys(sources.hub, sources.remote)
        yield _lag(sources.lag)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"compartmentd_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"compartmentd_{name}", text, value=value)


def _gauges(name: str, text: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(f"compartmentd_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counters(name: str, text: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> Metric:
    family = CounterMetricFamily(f"compartmentd_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _configuration(reloader: Reloader) -> Iterator[Metric]:
    snapshot, last, tally = reloader.in_force.snapshot, reloader.last, reloader.tally
    yield _gauges("build_info", "The version that runs.", ("version",), [((__version__,), 1)])
    yield _gauges(
        "config_info", "The digest of the configuration in force.", ("digest",), [((snapshot.digest,), 1)]
    )
    yield _gauge(
        "config_generation", "The generation in force, counted since the start.", snapshot.generation
    )
    yield _gauge(
        "config_last_reload_successful",
        "Whether the last reload was accepted; 1 before the first.",
        last is None or last.ok,
    )
    if last is not None:
        yield _gauge("config_last_reload_timestamp_seconds", "When the last reload ended.", last.at)
        yield _gauge("config_last_reload_duration_seconds", "How long the last reload took.", tally.seconds)
    yield _counters(
        "config_reloads",
        "Reloads by what came of them.",
        ("result",),
        [
            (("changed",), tally.changed),
            (("unchanged",), tally.unchanged),
            (("refused",), tally.refused),
        ],
    )
    yield _counters(
        "config_evictions",
        "What reloads took away.",
        ("kind",),
        [(("session",), tally.evicted.sessions), (("membership",), tally.evicted.memberships)],
    )


def _certificate(reloader: Reloader) -> Metric:
    certificate = reloader.certificate
    ends = [] if certificate is None else [((), certificate.expires_at)]
    return _gauges(
        "certificate_expiry_timestamp_seconds", "When the certificate of the listeners expires.", (), ends
    )


def _connections(server: SocketServer) -> Iterator[Metric]:
    load, counters = server.load(), server.counters
    transports = [(("websocket",), load.websocket), (("polling",), load.polling)]
    yield _gauges("connections", "Open connections by transport.", ("transport",), transports)
    most = server.options.connections
    yield _gauge("connections_limit", "How many connections are let in.", inf if most is None else most)
    yield _counter("connections_opened", "Connections that were opened.", counters.opened)
    yield _counter("connections_closed", "Connections that have ended.", counters.closed)
    yield _counter("connections_upgraded", "Connections that moved to WebSocket.", counters.upgraded)
    yield _counters(
        "connections_refused",
        "Requests refused before there is a session: by origin, or by a limit of the server.",
        ("cause",),
        [
            (("origin",), counters.refused_origin),
            (("connections",), counters.refused_full),
            (("connections_per_address",), counters.refused_address),
            (("connect_rate",), counters.refused_rate),
        ],
    )
    yield _counters(
        "connections_cut",
        "Connections that were closed from this side, by cause.",
        ("cause",),
        [
            (("slow",), counters.slow),
            (("ping_timeout",), counters.ping_timeouts),
            (("connect_timeout",), counters.connect_timeouts),
            (("parse_error",), counters.parse_errors),
            (("error",), counters.errors),
        ],
    )
    yield _counter("received_bytes", "Bytes from clients.", counters.bytes_in)
    yield _counter("sent_bytes", "Bytes to clients.", counters.bytes_out)
    yield _counter("packets_dropped", "Packets for sessions that had been ended.", counters.dropped)
    yield _gauge("send_buffer_bytes", "Bytes that clients have not taken yet.", load.unsent)
    yield _gauge(
        "send_buffer_largest_bytes", "The same, of the client that is most behind.", load.most_unsent
    )
    yield _gauge("send_buffer_limit_bytes", "What a client may be behind.", server.options.send_buffer)
    yield _gauge("send_buffer_connections", "Connections with bytes that are not taken yet.", load.behind)


def _sessions(hub: Hub) -> Iterator[Metric]:
    live, declared = hub.registry.namespaces, _declared(hub)
    sessions = [((name,), len(live[name].sessions) if name in live else 0) for name in declared]
    yield _gauges("sessions", "Sessions by namespace.", ("namespace",), sessions)
    labels = ("namespace", "template")
    rooms = _largest({name: place.rooms_by_template for name, place in live.items()})
    yield _gauges("rooms", f"Rooms that somebody is in, by template; {_THE_REST}.", labels, rooms)
    members = _largest({name: place.members_by_template for name, place in live.items()})
    yield _gauges("memberships", f"Memberships by template; {_THE_REST}.", labels, members)
    ended = [((code.value,), count) for code, count in hub.counters.ended.items()]
    yield _counters("sessions_ended", "Sessions that were ended from this side.", ("code",), ended)


def _largest(counts: Mapping[NamespaceName, Mapping[str, int]]) -> Iterator[Sample]:
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


def _decisions(hub: Hub) -> Iterator[Metric]:
    declared, counters = _declared(hub), hub.counters
    yield _counters(
        "decisions",
        "Decisions by what was asked; a message under a remembered permission is no new one.",
        ("request", "namespace", "code"),
        [
            ((request, namespace, ALLOWED if code is None else code.value), count)
            for (request, namespace, code), count in counters.decided.items()
            if namespace in declared or namespace in (ADMINISTRATION, UNDECLARED)
        ],
    )
    yield _counter("refusals_unanswered", "Refused requests that wanted no answer.", counters.unanswered)
    yield _counter("log_lines_left_out", "Lines held back to keep the log from being flooded.", left_out())
    yield _counter("auto_joins_skipped", "Rooms that were not auto-joined.", counters.auto_join_skipped)
    yield _counter(
        "floods_closed", "Connections closed for nothing but refused requests.", counters.floods_closed
    )


def _messages(hub: Hub) -> Iterator[Metric]:
    counters = hub.counters
    yield _counter("messages_published", "Messages that were let through.", counters.published)
    yield _counter("deliveries", "Messages times their recipients.", counters.delivered)
    yield _counter(
        "deliveries_dropped", "Volatile messages not sent to who was behind.", counters.volatile_dropped
    )


def _tokens(hub: Hub) -> Iterator[Metric]:
    memory = hub.memory
    yield _gauge("token_memory_entries", "Verified tokens that are remembered.", len(memory))
    yield _gauge("token_memory_limit", "How many are remembered at most.", memory.capacity)
    yield _counters(
        "token_verifications",
        "Tokens by how they were verified; refused ones are among the verified.",
        ("source",),
        [(("memory",), memory.found), (("signature",), memory.verified)],
    )
    yield _gauge("revocations", "Revocations that are in force.", len(hub.revocations))


def _keys(hub: Hub, remote: RemoteKeys) -> Iterator[Metric]:
    held = hub.snapshot.keys
    keys = [((name,), len(group)) for name, group in held.keys.items()]
    yield _gauges("keys", "Keys of an entry that are in force.", ("entry",), keys)
    fetched = remote.status()
    labels = ("entry",)
    ages = [((name,), state["age"]) for name, state in fetched.items() if state["age"] is not None]
    yield _gauges("keys_age_seconds", "Since when the fetched keys of an entry are known good.", labels, ages)
    for key, name, text in _KEY_COUNTS:
        yield _counters(name, text, labels, [((entry,), state[key]) for entry, state in fetched.items()])


_KEY_COUNTS = (
    ("fetches", "key_fetches", "Fetches of an entry's keys."),
    ("failures", "key_fetch_failures", "Fetches that brought no usable keys."),
    ("unknown_kids", "key_unknown", "Tokens that named a key which the entry does not have."),
)


def _lag(lag: LoopLag) -> Metric:
    bounds = ["+Inf" if bound == inf else str(bound) for bound in BOUNDS]
    return HistogramMetricFamily(
        "compartmentd_event_loop_lag_seconds",
        "How late the loop runs what is due, ten times a second.",
        buckets=list(zip(bounds, accumulate(lag.counts), strict=True)),
        sum_value=lag.total,
    )


def _declared(hub: Hub) -> Mapping[NamespaceName, Namespace]:
    """Return the namespaces that are declared now: what is counted for others went with them."""
    return hub.snapshot.configuration.policy.namespaces
