"""An outgoing Socket.IO packet: encoded once, framed once per kind of transport, shared by all recipients."""

from __future__ import annotations

import binascii
from collections.abc import Sequence

from compartmentd.protocol import websocket

SEPARATOR = b"\x1e"
"""Between the packets of a polling payload (Engine.IO v4, "Payload encoding")."""


class Message:
    """A packet on its way out.

    `packet` is the Engine.IO text packet with its leading type digit (`42["a"]`, or `2` for a ping);
    `attachments` follow it as binary packets, uninterrupted (Socket.IO v5, "Sending and receiving data").
    """

    __slots__ = ("_frames", "_payload", "attachments", "packet")

    def __init__(self, packet: bytes, attachments: Sequence[bytes] = ()) -> None:
        self.packet = packet
        self.attachments = attachments
        self._frames: bytes | None = None
        self._payload: bytes | None = None

    @property
    def frames(self) -> bytes:
        """The message as WebSocket frames, unmasked as a server's are, made at the first use."""
        frames = self._frames
        if frames is None:
            frames = websocket.text_frame(self.packet)
            if self.attachments:
                frames = b"".join([frames, *map(websocket.binary_frame, self.attachments)])
            self._frames = frames
        return frames

    @property
    def payload(self) -> bytes:
        """The message as part of a polling payload: packets separated, attachments in base64."""
        payload = self._payload
        if payload is None:
            payload = self.packet
            if self.attachments:
                encoded = (b"b" + binascii.b2a_base64(item, newline=False) for item in self.attachments)
                payload = SEPARATOR.join([payload, *encoded])
            self._payload = payload
        return payload
