"""Engine.IO v4: packets, payloads of HTTP long-polling, and answers to requests that cannot be served."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from compartmentd.errors import WireError
from compartmentd.protocol.message import SEPARATOR
from compartmentd.protocol.websocket import BINARY, TEXT, Data, encode_binary_frame, encode_text_frame

VERSION = "4"
"""The value of the query's `EIO`."""


class Outgoing(Protocol):
    """A packet that a transport can send, in either form; usually a `protocol.message.Message`."""

    @property
    def frames(self) -> bytes:
        """The packet as WebSocket frames."""

    @property
    def payload(self) -> bytes:
        """The packet as a part of a polling payload."""

    @property
    def open(self) -> bool:
        """Whether more may be added to it (`protocol.message.Batch`)."""


class ControlPacket:
    """A packet of the protocol itself, the same for every connection."""

    __slots__ = ("frames", "payload")

    open = False

    def __init__(self, packet: bytes) -> None:
        self.frames = encode_text_frame(packet)
        self.payload = packet


class BinaryPacket:
    """A binary packet of bare Engine.IO; in Socket.IO binary packets belong to the message before them."""

    __slots__ = ("_data",)

    open = False

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def frames(self) -> bytes:
        """A binary frame that holds the bytes, without a type digit."""
        return encode_binary_frame(self._data)

    @property
    def payload(self) -> bytes:
        """`b` and base64, without a type digit."""
        return b"b" + binascii.b2a_base64(self._data, newline=False)


CLOSE, PING, NOOP = ControlPacket(b"1"), ControlPacket(b"2"), ControlPacket(b"6")
PROBE, PROBE_ANSWER, UPGRADE = b"2probe", b"3probe", b"5"
"""The packets of an upgrade, in its order (Engine.IO v4, "Upgrade")."""


class HandshakeRefusal(NamedTuple):
    """An answer to a request that cannot be served: HTTP status, Engine.IO's code and text, and why.

    `reason` is stable: it stands in the log, in metrics and in the answer. `detail` is a sentence for people.
    """

    status: int
    code: int
    message: str
    reason: str
    detail: str

    @property
    def body(self) -> bytes:
        """The answer's JSON: Engine.IO's, and why."""
        return msgspec.json.encode(
            {"code": self.code, "message": self.message, "reason": self.reason, "detail": self.detail}
        )


UNKNOWN_TRANSPORT = HandshakeRefusal(
    400, 0, "Transport unknown", "transport", "the query's `transport` is none of `server.transports`"
)
UNKNOWN_SID = HandshakeRefusal(
    400,
    1,
    "Session ID unknown",
    "session",
    "no connection has this `sid`: it has ended, or another server has it (proxies need sticky sessions then)",
)
BAD_METHOD = HandshakeRefusal(
    400, 2, "Bad handshake method", "method", "a connection begins with GET, and goes on with GET and POST"
)
BAD_QUERY = HandshakeRefusal(400, 3, "Bad request", "query", "the query has too many parameters")
BAD_UPGRADE = HandshakeRefusal(
    400,
    3,
    "Bad request",
    "upgrade",
    "`transport=websocket` and a request for a WebSocket belong together: a proxy may drop `Upgrade`",
)
BAD_REQUEST = HandshakeRefusal(
    400, 3, "Bad request", "session_transport", "the connection is on another transport, or `EIO` is not 4"
)
BAD_POLL = HandshakeRefusal(
    400,
    3,
    "Bad request",
    "poll",
    "another request of the connection is under way, or the connection has ended",
)
BAD_BODY = HandshakeRefusal(
    400,
    3,
    "Bad request",
    "body",
    "the body is no payload of Engine.IO 4, or breaks the protocol; the log says how",
)
FORBIDDEN = HandshakeRefusal(403, 4, "Forbidden", "origin", "the Origin is not allowed")
BAD_VERSION = HandshakeRefusal(
    400,
    5,
    "Unsupported protocol version",
    "version",
    "`EIO` is not 4: socket.io-client 3 and 4 speak it, 2 does not",
)
TOO_LONG = HandshakeRefusal(
    413,
    3,
    "Payload Too Large",
    "body_size",
    "the body is longer than `maxPayload`, or than a first one may be",
)
REFUSALS = (
    UNKNOWN_TRANSPORT,
    UNKNOWN_SID,
    BAD_METHOD,
    BAD_QUERY,
    BAD_UPGRADE,
    BAD_REQUEST,
    BAD_POLL,
    BAD_BODY,
    FORBIDDEN,
    BAD_VERSION,
    TOO_LONG,
)
"""All of them, one for each reason."""


def forbid_origin(detail: str) -> HandshakeRefusal:
    """Return the refusal of a page, which says why."""
    return FORBIDDEN._replace(detail=detail)


def build_open_packet(
    sid: str,
    *,
    upgrades: Sequence[str],
    ping_interval: float,
    ping_timeout: float,
    max_payload: int,
) -> bytes:
    """Return the first packet of a connection; durations come in seconds and go out in milliseconds."""
    values = {
        "sid": sid,
        "upgrades": list(upgrades),
        "pingInterval": round(ping_interval * 1000),
        "pingTimeout": round(ping_timeout * 1000),
        "maxPayload": max_payload,
    }
    return b"0" + msgspec.json.encode(values)


def decode_payload(body: bytes) -> Iterator[Data]:
    """Return the packets of a polling request, in the form in which WebSocket messages come.

    They are split off one by one: a body of separators alone would be a million packets at once.

    Raises:
        WireError: the body is not UTF-8. The packets themselves are checked where they are taken, in one way for
            both transports; one of the iterator's own steps raises it for a binary packet that is not base64.
    """
    if not body.isascii():
        _check_utf8(body)
    return _split(body)


def _split(body: bytes) -> Iterator[Data]:
    start = 0
    while (end := body.find(SEPARATOR, start)) >= 0:
        yield _read_packet(body[start:end])
        start = end + 1
    yield _read_packet(body[start:])


def decode_binary_packet(packet: bytes) -> Data:
    """Return the content of a `b…` packet (Engine.IO v4, "Packet encoding")."""
    # The strict mode of Python 3.11 takes padding behind a whole group.
    if len(packet) % 4 != 1 or packet.endswith(b"==="):
        raise WireError("a binary packet is not base64", reason="base64")
    try:
        return BINARY, binascii.a2b_base64(packet[1:], strict_mode=True)
    except ValueError:
        raise WireError("a binary packet is not base64", reason="base64") from None


def _read_packet(part: bytes) -> Data:
    return decode_binary_packet(part) if part.startswith(b"b") else (TEXT, part)


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError:
        raise WireError("a payload is not UTF-8", reason="utf8") from None
