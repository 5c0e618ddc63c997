"""Lists sessions and rooms for administrators, a page at a time and in slices: a server has a million of them.

A page is what sorts first behind the place where the last one ended, so that sessions that come and go meanwhile
make no other appear twice or not at all.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from compartmentd.sessions.registry import Registry
from compartmentd.sessions.session import NamespaceState, Room, Session

T = TypeVar("T")
Place = tuple[str, str]
"""Where an item sorts: its namespace, and its own name there."""

STEP = 500
"""Items that are looked at between two pauses: half a millisecond."""

MOST = 1000
"""Items of a page."""


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sessions or rooms are wanted.

    Attributes:
        namespace: Those of this namespace.
        room: Sessions in this room.
        user: Sessions of this user, as `ENTRY:SUB` or as the subject alone.
        search: Those that have this text in a name: of the room; or of the session, its user or one of its rooms.
        limit: The size of a page, 1 to `MOST`.
        after: The `next` of the page before.
    """

    namespace: str | None = None
    room: str | None = None
    user: str | None = None
    search: str = ""
    limit: int = 100
    after: str = ""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list, and where the next one begins; `None` behind the last."""

    items: tuple[T, ...]
    next: str | None


def list_sessions(registry: Registry, query: Query) -> Generator[None, None, Page[Session]]:
    """Return a page of sessions, parked ones too; a step takes `STEP` of them."""

    def iter_places() -> Iterator[tuple[Place, Session]]:
        for name, namespace in _select(registry, query):
            if query.room is not None:
                room = namespace.rooms.get(query.room)
                found: Iterable[Session] = () if room is None else list(room.members)
            else:
                found = [*namespace.sessions.values(), *namespace.parked.values()]
            for session in found:
                yield (name, session.sid), session

    return (yield from _collect(iter_places(), query, lambda session: _matches_session(session, query)))


def list_rooms(registry: Registry, query: Query) -> Generator[None, None, Page[tuple[str, Room]]]:
    """Return a page of the rooms that have a member, each with its namespace; a step takes `STEP` of them."""

    def iter_places() -> Iterator[tuple[Place, tuple[str, Room]]]:
        for name, namespace in _select(registry, query):
            for room in list(namespace.rooms.values()):
                yield (name, room.name), (name, room)

    def matches(found: tuple[str, Room]) -> bool:
        return query.search in found[1].name and query.room in {None, found[1].name}

    return (yield from _collect(iter_places(), query, matches))


def session_as_json(session: Session) -> dict[str, Any]:
    """Return a session as administrators see it: no claim and no token."""
    user, ends_at = session.user, session.principal.ends_at
    return {
        "session": session.sid,
        "namespace": session.namespace.name,
        "user": None if user is None else {"issuer": user.entry, "sub": user.sub},
        "address": session.peer.handshake.address,
        "expires": None if ends_at is None else int(ends_at * 1000),
        "parked": session.parked_until is not None,
        "rooms": sorted(session.memberships),
    }


def room_as_json(namespace: str, room: Room) -> dict[str, Any]:
    """Return a room as administrators see it."""
    return {
        "namespace": namespace,
        "room": room.name,
        "template": room.template,
        "members": len(room.members),
    }


def _select(registry: Registry, query: Query) -> list[tuple[str, NamespaceState]]:
    """Return the namespaces that are wanted, of those that have sessions."""
    wanted = [
        (str(name), state)
        for name, state in registry.namespaces.items()
        if query.namespace in {None, str(name)}
    ]
    return sorted(wanted, key=lambda each: each[0])


def _matches_session(session: Session, query: Query) -> bool:
    user = session.user
    names = [] if user is None else [user.sub, f"{user.entry}:{user.sub}"]
    if query.user is not None and query.user not in names:
        return False
    if not query.search:
        return True
    # A copy: what is a live set changes between two steps.
    return any(query.search in name for name in (session.sid, *names[1:], *list(session.memberships)))


def _collect(
    items: Iterator[tuple[Place, T]], query: Query, matches: Callable[[T], bool]
) -> Generator[None, None, Page[T]]:
    """Keep what matches and sorts first behind `query.after`; the rest of a step is forgotten with it."""
    after = _read_place(query.after)
    wanted = query.limit + 1
    best: list[tuple[Place, T]] = []
    step: list[tuple[Place, T]] = []
    for number, (place, item) in enumerate(items, 1):
        if place > after and matches(item):
            step.append((place, item))
        if number % STEP == 0:
            best, step = heapq.nsmallest(wanted, [*best, *step], key=lambda each: each[0]), []
            yield
    best = heapq.nsmallest(wanted, [*best, *step], key=lambda each: each[0])
    page = best[: query.limit]
    return Page(tuple(item for _, item in page), _write_place(page[-1][0]) if len(best) > len(page) else None)


def _write_place(place: Place) -> str:
    return " ".join(place)  # a namespace has no space


def _read_place(text: str) -> Place:
    namespace, _, name = text.partition(" ")
    return namespace, name
