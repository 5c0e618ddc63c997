"""The table of metrics: name, kind, meaning and labels. `http/metrics.py` supplies the values.

The documentation's reference is generated from it. Names are stable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

PREFIX = "compartmentd_"
"""The prefix of every name."""

MOST_TEMPLATES = 200
"""Templates with their own samples; each takes 20 µs of a scrape, during which nothing else runs."""

_THE_REST = f"Beyond the {MOST_TEMPLATES} largest, the rest is one sum with empty labels."


class Description(NamedTuple):
    """A metric. Every sample has all `labels`, in this order."""

    kind: Literal["gauge", "counter", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


METRICS: Mapping[str, Description] = {
    # Configuration
    "build_info": Description("gauge", "The version that runs; always 1.", ("version",)),
    "config_info": Description("gauge", "The digest of the configuration in force; always 1.", ("digest",)),
    "config_generation": Description("gauge", "The generation in force, counted since the start."),
    "config_last_reload_successful": Description(
        "gauge", "Whether the last reload was accepted; 1 before the first."
    ),
    "config_last_reload_timestamp_seconds": Description(
        "gauge", "When the last reload ended; absent before the first."
    ),
    "config_last_reload_duration_seconds": Description(
        "gauge", "How long the last reload took; absent before the first."
    ),
    "config_reloads": Description(
        "counter", "Reloads by result: changed, unchanged or refused.", ("result",)
    ),
    "config_evictions": Description("counter", "What reloads have ended: session or membership.", ("kind",)),
    "certificate_expiry_timestamp_seconds": Description(
        "gauge", "When the certificate of the listeners expires; absent without TLS."
    ),
    # Connections
    "connections": Description(
        "gauge", "Open connections by transport: websocket or polling.", ("transport",)
    ),
    "connections_limit": Description("gauge", "How many connections are accepted."),
    "sockets": Description(
        "gauge", "Open sockets of clients, from their acceptance on: of connections, and without one."
    ),
    "pending": Description("gauge", "Sockets and connections without a session."),
    "pending_limit": Description("gauge", "How many sockets and connections may be without a session."),
    "connections_opened": Description("counter", "Connections that were opened."),
    "connections_closed": Description("counter", "Connections that have ended."),
    "connections_upgraded": Description("counter", "Connections that moved from polling to WebSocket."),
    "connections_refused": Description(
        "counter",
        "Requests refused and sockets closed before there is a session, by cause: origin, path, websocket (no "
        "WebSocket handshake), what Engine.IO refuses (transport, session, method, query, upgrade, "
        "session_transport, poll, body, version), a limit (connections, "
        "connections_per_address, connect_rate, pending, header_timeout, body_timeout), head_size (over 32 KiB), "
        "body_size or answer_timeout (not read within 30 s); the last four may concern requests of a session, too.",
        ("cause",),
    ),
    "connections_cut": Description(
        "counter",
        "Connections that the server closed, by cause: slow, ping_timeout, connect_timeout, error, or how a client "
        "broke the protocol: ack, attachments, base64, event, excess (packets without use), frame, json, "
        "message_size, namespaces, packet, state, utf8, version.",
        ("cause",),
    ),
    "received_bytes": Description("counter", "Bytes from clients."),
    "sent_bytes": Description("counter", "Bytes to clients."),
    "packets_dropped": Description("counter", "Packets for sessions that had already been ended."),
    "send_buffer_bytes": Description("gauge", "Bytes that clients have not read yet."),
    "send_buffer_largest_bytes": Description("gauge", "The same, for the client that is furthest behind."),
    "send_buffer_limit_bytes": Description("gauge", "How many bytes a client may be behind."),
    "send_buffer_connections": Description(
        "gauge", "Connections with bytes that the client has not read yet."
    ),
    # Sessions
    "sessions": Description("gauge", "Sessions by namespace.", ("namespace",)),
    "rooms": Description(
        "gauge", f"Rooms with at least one member, by template. {_THE_REST}", ("namespace", "template")
    ),
    "memberships": Description(
        "gauge", f"Memberships of sessions in rooms, by template. {_THE_REST}", ("namespace", "template")
    ),
    "sessions_ended": Description("counter", "Sessions that the server ended, by code.", ("code",)),
    # Decisions
    "decisions": Description(
        "counter",
        "Decisions by request, namespace and code (allowed, or the code of the refusal); a message under a "
        "remembered permission is not a new decision.",
        ("request", "namespace", "code"),
    ),
    "refusals_unanswered": Description("counter", "Refused requests that asked for no answer."),
    "log_lines_left_out": Description("counter", "Lines omitted to keep the log from being flooded."),
    "auto_joins_skipped": Description("counter", "Rooms that were not auto-joined."),
    "requests_waiting_refused": Description(
        "counter", "Requests refused since too many of their session waited for answers already."
    ),
    "floods_closed": Description("counter", "Connections closed because all their requests were refused."),
    "rates_kept": Description(
        "gauge", "Rates of which something was taken by sessions that have ended, and is not back yet."
    ),
    "rates_kept_limit": Description("gauge", "How many such rates are kept."),
    "rates_forgotten": Description("counter", "Such rates that were forgotten for want of room."),
    "limits_observed": Description(
        "counter",
        "Requests that a limit would have refused and `limits.mode: observe` let through, by namespace and key.",
        ("namespace", "limit"),
    ),
    # Messages
    "messages_published": Description("counter", "Messages that were allowed."),
    "deliveries": Description("counter", "Messages times their recipients."),
    "deliveries_dropped": Description("counter", "Volatile messages not sent to clients that were behind."),
    "payloads_too_costly": Description(
        "counter", "Messages refused because validating their data could have taken too long."
    ),
    # Tokens and keys
    "token_memory_entries": Description("gauge", "Verified tokens in the cache."),
    "token_memory_bytes": Description("gauge", "Bytes that the cache of verified tokens takes."),
    "token_memory_limit_bytes": Description("gauge", "Bytes that the cache of verified tokens may take."),
    "token_memory_dropped": Description(
        "counter",
        "Verified tokens dropped from the cache: expired (within a minute of their end), withdrawn (with their key "
        "or entry), or full (the one that was not used for longest made room).",
        ("cause",),
    ),
    "token_verifications": Description(
        "counter",
        "Tokens by how they were verified: memory (the cache), or signature (which includes rejected ones).",
        ("source",),
    ),
    "tokens_unseen": Description(
        "counter", "Tokens refused without a look, since too many of their address had failed."
    ),
    "revocations": Description("gauge", "Revocations in force."),
    "keys": Description("gauge", "Keys of an entry in force.", ("entry",)),
    "keys_age_seconds": Description(
        "gauge", "Time since the fetched keys of an entry were last confirmed.", ("entry",)
    ),
    "key_fetches": Description("counter", "Fetches of an entry's keys.", ("entry",)),
    "key_fetch_failures": Description("counter", "Fetches that brought no usable keys.", ("entry",)),
    "key_unknown": Description(
        "counter", "Tokens that named a key which the entry does not have.", ("entry",)
    ),
    # The process
    "event_loop_lag_seconds": Description(
        "histogram", "How late the event loop runs due callbacks, measured ten times a second."
    ),
}
"""By name, without `PREFIX` and a counter's `_total`. INVARIANT: `http/metrics.py` yields these and no others."""


def full_name(name: str) -> str:
    """Return the name of a metric in Prometheus, with the prefix and a counter's suffix."""
    return f"{PREFIX}{name}{'_total' if METRICS[name].kind == 'counter' else ''}"
