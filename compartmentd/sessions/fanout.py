"""Sending one message to everyone in a room, or in a namespace.

A message needs no sending session: publish gives one, the server's own messages have none. Recipients are the
members of that moment, of them those alone that the current snapshot has judged. While a reload is judging, the
message waits on every other session, and is sent once the new policy lets that session stay, in that room (P3).
"""

from __future__ import annotations

from compartmentd.protocol.application import Peer
from compartmentd.protocol.message import Batch, Message
from compartmentd.sessions.counters import Counters
from compartmentd.sessions.session import NamespaceState, Room, Session

_FEW = 4
"""Members up to which messages are not batched: keeping a batch would cost more than it saves."""


class Fanout:
    """Sends messages to rooms and namespaces, batched where one origin sends several to the same crowd in a turn.

    INVARIANT: `_batch` is the batch that `_batch_origin` sent last, to all of `_batch_peers`.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.judging: int | None = None
        """The generation that sessions are being judged by; `None` when there is no reload under way."""
        self._batch: Batch | None = None
        self._batch_origin: Session | None = None
        self._batch_peers: tuple[Peer, ...] = ()
        self._batch_without: Peer | None = None
        self._batch_size = 0

    def send(
        self,
        to: Room | NamespaceState,
        message: Message,
        origin: Session | None = None,
        excluded: tuple[Session, ...] = (),
    ) -> None:
        """Send a message.

        Args:
            to: A room, or a namespace for all its sessions.
            message: The message, encoded once for all.
            origin: The session that sent it, if one did: its messages of one turn leave together.
            excluded: Sessions that do not get it, members or not; without echo that is the origin.
        """
        if type(to) is not Room or self.judging is not None:
            self._send_each(to, message, excluded, volatile=False)
            return
        without = None
        if excluded:
            if excluded[0] is not origin or len(excluded) > 1:
                self._send_each(to, message, excluded, volatile=False)
                return
            without = origin.peer
        peers = to.peers or to.gather()
        if len(peers) <= _FEW:
            for peer in peers:
                if peer is not without:
                    peer.send(message)
                    self._counters.delivered += 1
            return
        batch = self._batch
        # The same tuple: nobody has come or gone since.
        if (
            batch is not None
            and self._batch_peers is peers
            and self._batch_origin is origin
            and self._batch_without is without
            and batch.add(message)
        ):
            self._counters.delivered += self._batch_size
            return
        everyone = without is None or origin not in to.members
        # Without an origin any recipient does: all are of one server.
        door = peers[0] if origin is None else origin.peer
        self._batch = door.share(message, peers, echo=everyone)
        self._batch_peers, self._batch_origin, self._batch_without = peers, origin, without
        size = self._batch_size = len(peers) if everyone else len(peers) - 1
        self._counters.delivered += size

    def send_volatile(
        self,
        to: Room | NamespaceState,
        message: Message,
        _origin: Session | None = None,
        excluded: tuple[Session, ...] = (),
    ) -> None:
        """Send a message as `send` does, but not to connections with unsent bytes of an earlier turn.

        Args:
            to: A room, or a namespace for all its sessions.
            message: The message, encoded once for all.
            excluded: Sessions that do not get it, members or not.
        """
        self._send_each(to, message, excluded, volatile=True)

    def _send_each(
        self, to: Room | NamespaceState, message: Message, excluded: tuple[Session, ...], *, volatile: bool
    ) -> None:
        if isinstance(to, Room):
            room, recipients = to.name, tuple(to.members)
        else:
            room, recipients = None, tuple(to.sessions.values())
        judging, counters = self.judging, self._counters
        # Copies: sending may close a connection, which changes the members.
        for session in recipients:
            if session in excluded:
                continue
            if judging is not None and session.generation != judging:
                if session.unjudged is None:
                    session.unjudged = []
                session.unjudged.append((room, message, volatile))
            elif volatile and not session.peer.is_writable:
                counters.volatile_dropped += 1
            else:
                session.peer.send(message)
                counters.delivered += 1

    def release(self, session: Session) -> None:
        """Send what waited for the session's judgement, in order, without the rooms that it lost.

        Args:
            session: A session that has just been judged, and stays.
        """
        waiting, session.unjudged = session.unjudged, None
        for room, message, volatile in waiting or ():
            if room is not None and room not in session.memberships:
                continue
            if volatile and not session.peer.is_writable:
                self._counters.volatile_dropped += 1
            else:
                session.send(message)
                self._counters.delivered += 1

    def drop_batch(self) -> None:
        """Let go of the last batch: it has left by now, and its recipients may want to leave, too."""
        self._batch = self._batch_origin = self._batch_without = None
        self._batch_peers = ()
