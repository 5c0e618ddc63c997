"""Tornado's streams of accepted sockets, under TLS where there is a certificate."""

from __future__ import annotations

import asyncio
import socket
import ssl
from types import TracebackType
from typing import Literal, Protocol, TypeAlias, cast

from tornado.iostream import IOStream, SSLIOStream, UnsatisfiableReadError

from compartmentd.net.client_socket import ClientSocket, SocketEntry
from compartmentd.net.sock import Sock
from compartmentd.net.tls_handshake import HANDSHAKE_TIMEOUT
from compartmentd.net.tls_socket import SecureSocket

ANSWER_TIMEOUT = 30.0
"""Seconds that a client has for an answer; they are not prolonged by what it reads."""

ExcInfo: TypeAlias = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]
"""What `sys.exc_info` returns."""

Overdue: TypeAlias = Literal["nothing", "head_too_long", "head_too_slow", "body_too_slow"]
"""The last answer that a client still has to get before its socket closes."""


class SocketCloser(Protocol):
    """Closes sockets on which a request is, or was, under way."""

    @property
    def header_timeout(self) -> float:
        """Seconds within which the head of a request must come, from its first byte on."""

    def note_unread(self) -> None:
        """Take note that an answer was not read in time."""

    def close_socket(self, sock: Sock, overdue: Overdue, /) -> None:
        """Tell the client what is overdue, and close the socket so that it can read its answer."""


class ResumedStream(IOStream):
    """The stream of a socket that was read before, and of which these bytes were read.

    Tornado closes its streams without an answer where a head is too long or a request too slow, and with unread
    input where an answer came early. This one leaves such an end to the closer.
    """

    takes_place = False

    def __init__(self, sock: socket.socket, early: bytes, closer: SocketCloser, entry: SocketEntry) -> None:
        """Read `early` first; `fresh` stays true until a request has been read."""
        self._early = early
        self._closer = closer
        self.entry = entry
        entry.owner = self
        self.fresh = True
        self._begun = False  # a head was read whose answer has not begun
        self._answered = False
        self._complete = False
        self._shed = False
        self._writing_since = 0.0
        self._alarm: asyncio.TimerHandle | None = None  # while an answer is not read
        self._head_alarm: asyncio.TimerHandle | None = None  # while a head is read
        super().__init__(sock)
        self._limit_head()  # the first bytes are here, or in the kernel

    def await_request(self) -> None:
        """Take note that the next request may come."""
        self._begun = self._answered = self._complete = False
        if self._read_buffer_size:
            self._limit_head()

    def note_head(self) -> None:
        """Take note that a head was read: the client is owed an answer."""
        self._begun = True
        self._stop_limiting_head()

    def _limit_head(self) -> None:
        """Give the client its time for a head, unless it runs already."""
        if self._head_alarm is None:
            loop = asyncio.get_running_loop()
            self._head_alarm = loop.call_later(self._closer.header_timeout, self._miss_head)

    def _stop_limiting_head(self) -> None:
        if self._head_alarm is not None:
            self._head_alarm.cancel()
            self._head_alarm = None

    def _miss_head(self) -> None:
        self._head_alarm = None
        self.close()

    def note_complete(self) -> None:
        """Take note that a request was read to its end."""
        self._complete = True

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        """Write a part of an answer; a client that does not read all of it in time is disconnected."""
        self._answered = True
        loop = asyncio.get_running_loop()
        if not self.writing():
            self._writing_since = loop.time()
        written = super().write(data)
        if self._alarm is None and self.writing():
            self._alarm = loop.call_later(ANSWER_TIMEOUT, self._check_progress)
        return written

    def _check_progress(self) -> None:
        self._alarm = None
        if not self.writing():
            return
        loop = asyncio.get_running_loop()
        ends = self._writing_since + ANSWER_TIMEOUT
        if loop.time() >= ends:
            self._closer.note_unread()
            self.shed()
        else:
            self._alarm = loop.call_at(ends, self._check_progress)

    @property
    def unread(self) -> int:
        """The number of bytes that the kernel has not taken."""
        return len(self._write_buffer or b"")  # it is gone once the stream is closed

    def abort(self) -> None:
        """Close at once, if an answer is not read."""
        if self.writing():
            self.shed()

    def close(self, exc_info: ExcInfo | bool | BaseException | None = False) -> None:
        """Close the stream, for this error if any, which is kept without its traceback.

        The traceback's frames hold the stream and its read buffer of 64 KiB: a cycle, which is collected late.
        """
        if isinstance(exc_info, BaseException):
            exc_info = type(exc_info)(*exc_info.args)
        super().close(exc_info)

    def shed(self) -> None:
        """Close the socket at once: others need its place."""
        self._shed = True
        self.close()

    def close_fd(self) -> None:
        """Close the socket, at once where nothing is owed or unread."""
        self._stop_limiting_head()
        if self._alarm is not None:
            self._alarm.cancel()
        if self.socket.fileno() == -1:  # it was taken over
            super().close_fd()
            return
        if self._shed:
            self.entry.leave()
            super().close_fd()
            return
        overdue = self._find_overdue()
        is_left_over = overdue != "nothing" or (self._answered and not self._complete) or self._has_input()
        if (self.error is not None and overdue == "nothing") or not is_left_over:
            self.entry.leave()
            super().close_fd()
            return
        sock = self.socket
        self.socket = None  # type: ignore[assignment]  # as Tornado's own `close_fd` leaves it
        is_secure = isinstance(sock, ssl.SSLSocket)
        ours = SecureSocket(cast(ssl.SSLSocket, sock), self.entry) if is_secure else cast(ClientSocket, sock)
        self._closer.close_socket(ours, overdue)

    def _find_overdue(self) -> Overdue:
        if isinstance(self.error, UnsatisfiableReadError):
            return "head_too_long"
        if self.error is not None or self._answered:
            return "nothing"
        if self._begun:
            return "body_too_slow"
        return "head_too_slow" if self._read_buffer_size or self._early else "nothing"

    def _has_input(self) -> bool:
        """Return whether closing at once would reset the connection."""
        if self._early or self._read_buffer_size:
            return True
        if isinstance(self.socket, ssl.SSLSocket):
            return False  # what there is cannot be told from the end
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read into the buffer, as streams do."""
        if not self._early:
            count = super().read_from_fd(buf)
            if count and not self._begun:
                self._limit_head()
            return count
        count = min(len(buf), len(self._early))
        buf[:count], self._early = self._early[:count], self._early[count:]
        return count


class _SecureResumedStream(ResumedStream, SSLIOStream):
    """The same under TLS, with the handshake done before."""


def resume_stream(sock: Sock, early: bytes, closer: SocketCloser) -> ResumedStream:
    """Return the stream of a socket that was read before; `early` was read of it."""
    if isinstance(sock, SecureSocket):
        return _SecureResumedStream(sock.bare, early, closer, sock.entry)
    return ResumedStream(
        cast(ClientSocket, sock), early, closer, sock.entry
    )  # there is no third kind of socket


def wrap_in_tls(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket | None:
    """Return the socket under TLS, before its handshake; `None`, with the socket closed, if its peer is gone."""
    sock.setblocking(False)
    try:
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    except OSError:
        sock.close()
        return None


class TlsChoice:
    """The TLS context of a server's listeners; a new one counts for the sockets that are accepted from then on.

    Unix sockets stay plain: nobody else can read them, and a proxy that ends TLS in front of us connects by them.
    """

    def __init__(self) -> None:
        self.context: ssl.SSLContext | None = None

    def find_context(self, sock: socket.socket) -> ssl.SSLContext | None:
        """Return the context of a socket that is accepted now, `None` if it stays plain."""
        # The context first: to ask a socket for its family takes half a microsecond.
        return None if self.context is None or sock.family == socket.AF_UNIX else self.context

    def make_stream(self, sock: socket.socket, timeout: float = HANDSHAKE_TIMEOUT) -> IOStream | None:
        """Return the stream of an accepted socket; `None`, with the socket closed, if its peer is gone.

        Args:
            sock: the socket, of which nothing was read.
            timeout: seconds for the handshake of TLS.
        """
        context = self.find_context(sock)
        if context is None:
            return IOStream(sock)
        secured = wrap_in_tls(sock, context)
        if secured is None:
            return None
        stream = SSLIOStream(secured)
        _limit_handshake(stream, timeout)
        return stream


def _limit_handshake(stream: SSLIOStream, timeout: float) -> None:
    """Close the stream if its handshake is not done in time."""
    timer = asyncio.get_running_loop().call_later(timeout, stream.close)

    def end(handshake: asyncio.Future[SSLIOStream]) -> None:
        timer.cancel()
        handshake.exception()  # a client that gave up is not worth a line, but the future's exception must be read

    stream.wait_for_handshake().add_done_callback(end)
