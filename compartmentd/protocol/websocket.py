"""WebSocket framing (RFC 6455) for a server: bytes of frames in, whole messages out, and frames to send.

Two rules hold here. A violation is found with the fewest bytes: mask, reserved bits, opcode and length are checked
as soon as they have arrived, before the payload that they announce. And no input costs more than its length: an
incomplete frame is kept in one growing buffer and looked at again only once it is complete.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

from compartmentd.errors import WireError

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
"""Opcodes (RFC 6455, 11.8); 0 continues a message."""

NORMAL, PROTOCOL_ERROR, NO_CODE, INVALID_DATA, POLICY_VIOLATION, TOO_BIG = 1000, 1002, 1005, 1007, 1008, 1009
"""Close codes (RFC 6455, 7.4.1); 1005 stands for a close frame without one and is never sent."""

_SMALL_FRAGMENT = 256
"""Bytes: no client cuts its messages into smaller parts, each of which costs as much as a message."""

_FIN = 0x80
_TEXT_FRAME = _FIN | TEXT
_MASKED = 0x80
_MEDIUM = _MASKED | 126
"""The second byte of a frame whose length stands in the next two."""
_MASK_END = 6
"""Where the payload of a short frame begins, behind its mask."""
_SHORT = 125
"""The longest payload whose length stands in the second byte; control frames may not be longer (5.5)."""

_SHORT_TEXT = tuple(bytes((_TEXT_FRAME, length)) for length in range(_SHORT + 1))
"""The heads of text frames by length; making one costs twice as much as all the rest of a short frame."""

_LONGEST_REASON = 123
"""Bytes of the reason in a close frame, which holds 125 with its code (RFC 6455, 5.5)."""

Unmask = Callable[[bytes, bytes], bytes]
"""Apply the four bytes of a mask to a payload."""

Data = tuple[int, bytes]
"""A whole message: `TEXT` (checked to be UTF-8) or `BINARY`, and its bytes."""


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Return one final frame, unmasked as a server's must be (5.1)."""
    length = len(payload)
    if length <= _SHORT:
        return bytes((_FIN | opcode, length)) + payload
    if length < 1 << 16:
        return struct.pack("!BBH", _FIN | opcode, 126, length) + payload
    return struct.pack("!BBQ", _FIN | opcode, 127, length) + payload


def encode_text_frame(payload: bytes) -> bytes:
    """Return a text message, `payload` being UTF-8, as one frame."""
    length = len(payload)
    if length <= _SHORT:
        return _SHORT_TEXT[length] + payload
    return encode_frame(TEXT, payload)


def encode_text_head(length: int) -> bytes:
    """Return the head of a text frame whose payload has `length` bytes."""
    return _SHORT_TEXT[length] if length <= _SHORT else encode_frame(TEXT, bytes(length))[:-length]


def read_payload(frames: bytes) -> bytes:
    """Return the payload of the first of these frames, which `encode_frame` made."""
    length = frames[1]
    if length <= _SHORT:
        return frames[2 : 2 + length]
    start = 4 if length == 126 else 10
    return frames[start : start + int.from_bytes(frames[2:start], "big")]


def find_frames(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each of these whole frames, which `encode_frame` made, with its payload."""
    at = 0
    while at < len(data):
        end = find_frame_end(data, at)
        frame = data[at:end]
        yield frame, read_payload(frame)
        at = end


def find_frame_end(data: bytes | bytearray, start: int, beyond: int = 0) -> int:
    """Return the end of the first frame, from the one that begins at `start`, that ends at `beyond` or later.

    The frames are ones that `encode_frame` made.
    """
    while True:
        length = data[start + 1]
        if length <= _SHORT:
            start += 2 + length
        else:
            head = 4 if length == 126 else 10
            start += head + int.from_bytes(data[start + 2 : start + head], "big")
        if start >= beyond:
            return start


def encode_binary_frame(payload: bytes) -> bytes:
    """Return a binary message as one frame."""
    return encode_frame(BINARY, payload)


def encode_close_frame(code: int | None = None, reason: str = "") -> bytes:
    """Return a close frame, with a code if there is one, and with the beginning of a reason (RFC 6455, 5.5.1)."""
    if code is None:
        return encode_frame(CLOSE, b"")
    text = reason.encode()[:_LONGEST_REASON].decode(errors="ignore").encode()
    return encode_frame(CLOSE, code.to_bytes(2, "big") + text)


def xor(mask: bytes, payload: bytes) -> bytes:
    """Unmask in plain Python (5.3), in linear time; see `net.websocket_mask` for a faster function."""
    length = len(payload)
    key = mask * (length // 4 + 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key[:length], "big")
    return masked.to_bytes(length, "big")


def is_close_code(code: int) -> bool:
    """Return whether a peer may send this code in a close frame (7.4)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class MessageReader:
    """Reads the frames of one client as whole messages.

    A violation is not raised but kept in `failure`: messages that were complete before it are still returned, so
    that it makes no difference how the bytes were cut. After a failure or a close frame (`closed` is its code) no
    more is read. Pings are answered by frames in `replies`, for the caller to take and send. `notable` is set with
    any of the three, so that one look shows whether there is anything but messages.

    An idle reader holds no list or buffer, since there is one for each connection.
    """

    __slots__ = (
        "_fragments",
        "_limit",
        "_longest_short",
        "_need",
        "_opcode",
        "_tail",
        "_unmask",
        "closed",
        "extra_frames",
        "failure",
        "notable",
        "replies",
    )

    def __init__(self, limit: int, unmask: Unmask = xor) -> None:
        """Take messages of up to `limit` bytes each, in any number of fragments."""
        self.closed: int | None = None
        self.failure: WireError | None = None
        self.replies: list[bytes] | None = None
        self.extra_frames = 0
        self.notable = False
        self._limit = limit
        self._unmask = unmask
        # The second byte of the longest frame that the fast path takes: masked, short, within the limit.
        self._longest_short = _MASKED + min(_SHORT, limit)
        self._tail: bytearray | None = None  # the start of an incomplete frame, none while idle
        self._need = 0  # bytes that `_tail` must hold before it is looked at again
        self._opcode = 0  # of the fragmented message under way
        self._fragments: bytearray | None = None  # its payload so far

    def set_limit(self, limit: int) -> None:
        """Take messages of up to `limit` bytes from now on."""
        self._limit = limit
        self._longest_short = _MASKED + min(_SHORT, limit)

    def take_extra_frames(self) -> int:
        """Return how many frames came that were no messages, once: pings, pongs, small parts of a message."""
        count, self.extra_frames = self.extra_frames, 0
        self.notable = self.failure is not None or self.closed is not None or self.replies is not None
        return count

    def take_replies(self) -> Sequence[bytes]:
        """Return the frames that answer pings, once."""
        replies, self.replies = self.replies, None
        self.notable = self.failure is not None or self.closed is not None
        return replies or ()

    def receive(self, data: bytes) -> Sequence[Data]:
        """Take the next bytes; return the messages that they complete, in order."""
        if self.notable and (self.failure is not None or self.closed is not None):
            return ()
        tail = self._tail
        if tail is not None:
            tail += data
            if len(tail) < self._need:
                return ()
            data = bytes(tail)
            self._tail = None
        elif len(data) > _MASK_END and data[0] == _TEXT_FRAME and not self._opcode:
            # One short text message and nothing else, as from a client that waits for each answer: 0.3 µs instead
            # of 0.6.
            size = data[1] - _MASKED
            if size == len(data) - _MASK_END and data[1] <= self._longest_short:
                payload = self._unmask(data[2:_MASK_END], data[_MASK_END:])
                if payload.isascii():
                    return ((TEXT, payload),)
        messages: list[Data] = []
        try:
            position = self._parse(data, messages)
        except WireError as error:
            # Without its traceback, whose frames refer to this reader: the cycle would wait for the collector.
            self.failure, self.notable = error.with_traceback(None), True
            return messages
        if position < len(data) and self.closed is None:
            self._tail = bytearray(memoryview(data)[position:])
        return messages

    def _parse(self, data: bytes, messages: list[Data]) -> int:
        """Take every complete frame; return where the incomplete one begins."""
        # The hot path of the whole server: all names are local, and the frame that nearly every client sends
        # (a text message in one frame, up to 64 KiB) is taken with one call, the unmasking: 0.4 µs instead of 1.3.
        unmask = self._unmask
        longest, limit = self._longest_short, self._limit
        append, fragmented = messages.append, self._opcode
        end = len(data)
        position = 0
        while position + 2 <= end:
            second = data[position + 1]
            start = 0
            if data[position] == _TEXT_FRAME and second >= _MASKED and not fragmented:
                if second <= longest:
                    start = position + 6
                    stop = start + second - _MASKED
                elif second == _MEDIUM and position + 4 <= end:
                    size = data[position + 2] << 8 | data[position + 3]
                    start = position + 8 if size <= limit else 0
                    stop = start + size
            if start:
                if stop > end:
                    self._need = stop - position
                    return position
                payload = unmask(data[start - 4 : start], data[start:stop])
                if not payload.isascii():
                    _check_utf8(payload)
                append((TEXT, payload))
                position = stop
                continue
            following = self._take_frame(data, position, append)
            if following is None or self.closed is not None:
                return position
            position, fragmented = following, self._opcode
        self._need = 2
        return position

    def _take_frame(self, data: bytes, position: int, append: Callable[[Data], None]) -> int | None:
        """Take a frame of any form; return where the next begins, `None` if this one is not complete."""
        first, second = data[position], data[position + 1]
        opcode, final = first & 0xF, bool(first & _FIN)
        self._check_head(first, second, opcode, final=final)
        size = second & 0x7F
        start = position + 2
        if size > _SHORT:
            width = 2 if size == 126 else 8
            start += width
            if start > len(data):
                self._need = start - position
                return None
            size = int.from_bytes(data[start - width : start], "big")
        if opcode < CLOSE and size + len(self._fragments or b"") > self._limit:
            raise WireError("a message is longer than the limit", TOO_BIG, "message_size")
        start += 4
        stop = start + size
        if stop > len(data):
            self._need = stop - position
            return None
        payload = self._unmask(data[start - 4 : start], data[start:stop])
        if opcode >= CLOSE:
            self._take_control(opcode, payload)
        else:
            self._take_data(opcode, payload, append, final=final)
        return stop

    def _check_head(self, first: int, second: int, opcode: int, *, final: bool) -> None:
        if first & 0x70:
            raise WireError(
                "a reserved bit is set, without an extension agreed on (RFC 6455, 5.2)", reason="frame"
            )
        if not second & _MASKED:
            raise WireError("a client's frame must be masked (RFC 6455, 5.1)", reason="frame")
        if opcode in (CLOSE, PING, PONG):
            if not final or second & 0x7F > _SHORT:
                raise WireError("a control frame is fragmented or too long (RFC 6455, 5.5)", reason="frame")
        elif opcode > BINARY:
            raise WireError("the opcode is reserved (RFC 6455, 5.2)", reason="frame")
        elif bool(opcode) == bool(self._opcode):
            raise WireError("fragments are out of order (RFC 6455, 5.4)", reason="frame")

    def _take_control(self, opcode: int, payload: bytes) -> None:
        if opcode != CLOSE:
            self.extra_frames += 1
            self.notable = True
        if opcode == PING:
            if self.replies is None:
                self.replies = []
            self.replies.append(encode_frame(PONG, payload))
        elif opcode == CLOSE:
            self.closed, self.notable = _close_code(payload), True

    def _take_data(self, opcode: int, payload: bytes, append: Callable[[Data], None], *, final: bool) -> None:
        if not final and len(payload) < _SMALL_FRAGMENT:
            self.extra_frames += 1
            self.notable = True
        fragments = self._fragments
        if not final and fragments is None:
            self._opcode, self._fragments = opcode, bytearray(payload)
            return
        if fragments is not None:
            fragments += payload
            if not final:
                return
            opcode, payload = self._opcode, bytes(fragments)
            self._opcode, self._fragments = 0, None
        if opcode == TEXT and not payload.isascii():
            _check_utf8(payload)
        append((opcode, payload))


def _check_utf8(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise WireError("a text message is not UTF-8 (RFC 6455, 8.1)", INVALID_DATA, "utf8") from None


def _close_code(payload: bytes) -> int:
    """Return the code of a received close frame (5.5.1)."""
    if not payload:
        return NO_CODE
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not is_close_code(code):
        raise WireError("the close frame has no code that may be sent (RFC 6455, 7.4)", reason="frame")
    _check_utf8(payload[2:])
    return code
