"""Counts of what happened on the wire since the start."""

from __future__ import annotations

from compartmentd.protocol.engineio import REFUSALS

REASONS = (*(refusal.reason for refusal in REFUSALS), "websocket", "path")
"""Why requests are refused, apart from limits: a label of metrics, a field of the log and of the answer."""

VIOLATIONS = (
    *(
        "ack",
        "attachments",
        "base64",
        "event",
        "excess",
        "frame",
        "json",
        "message_size",
        "namespaces",
        "packet",
    ),
    *("state", "utf8", "version"),
)
"""How a client broke the protocol, for which its connection is cut: a label of metrics, a field of the log, and the
beginning of the reason in the WebSocket's close frame."""


class WireCounters:
    """Counts that only grow; one object for a whole server, changed where something happens."""

    __slots__ = (
        "answer_timeouts",
        "body_timeouts",
        "bytes_in",
        "bytes_out",
        "closed",
        "connect_timeouts",
        "dropped",
        "errors",
        "excess",
        "header_timeouts",
        "opened",
        "parse_errors",
        "ping_timeouts",
        "refusals",
        "refused_address",
        "refused_full",
        "refused_head",
        "refused_rate",
        "shed",
        "shed_address",
        "slow",
        "upgraded",
        "violations",
    )

    def __init__(self) -> None:
        # Connections (Engine.IO's), and those of them that moved from polling to WebSocket.
        self.opened = 0
        self.closed = 0
        self.upgraded = 0
        # Bytes of WebSocket connections, framing included, and of polling bodies.
        self.bytes_in = 0
        self.bytes_out = 0
        # Packets for namespaces that the server had ended.
        self.dropped = 0
        # Connections that were closed, by cause; `errors` are exceptions of the application.
        self.parse_errors = 0
        self.violations = dict.fromkeys(VIOLATIONS, 0)
        self.ping_timeouts = 0
        self.connect_timeouts = 0
        self.excess = 0
        self.slow = 0
        self.errors = 0
        # Sockets and connections without a session that were closed since others needed their places: as one too
        # many of all, or of their address.
        self.shed = 0
        self.shed_address = 0
        # Requests whose head or body was too long, or did not come in time, and answers that were not read in time.
        self.refused_head = 0
        self.header_timeouts = 0
        self.body_timeouts = 0
        self.answer_timeouts = 0
        # Requests refused, by reason; handshakes refused because all places were taken, or all of the address, or
        # because of the rate.
        self.refusals = dict.fromkeys(REASONS, 0)
        self.refused_full = 0
        self.refused_address = 0
        self.refused_rate = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, those of refusals as `refused_REASON`."""
        counts = {
            name: getattr(self, name) for name in self.__slots__ if name not in {"refusals", "violations"}
        }
        return counts | {f"refused_{reason}": count for reason, count in self.refusals.items()}
