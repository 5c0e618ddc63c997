"""The model of the stateful fuzzer: policies in the file's own shapes, and who may be where, decided naively."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support import naive

CHAT = "/chat"
TEMPLATES = ("lobby", "den", "attic", "team:{t}", "user:{u}")
_FORMS = {template: re.compile(re.sub(r"\{(\w)\}", r"(?P<\1>[a-z0-9]+)", template)) for template in TEMPLATES}

GATES: tuple[Any, ...] = (
    "authenticated",
    "public",
    "nobody",
    {"scope": "a"},
    {"any_scope": ["a", "b"]},
    {"claim": "level", "at_least": 2},
    {"not": {"claim": "suspended", "equals": True}},
    {"claim": "until", "is": "future"},
)
RULES: tuple[Any, ...] = (
    *GATES,
    "authenticated",
    {"rule": "gate"},
    {"any": [{"scope": "b"}, {"claim": "level", "at_least": 3}]},
    {"all": [{"scope": "a"}, {"rule": "gate"}]},
)
JOINS: Mapping[str, tuple[Any, ...]] = {
    "lobby": RULES,
    "den": RULES,
    "attic": (
        {"member_of": "den"},
        {"all": [{"member_of": "lobby"}, {"rule": "gate"}]},
        {"any": [{"member_of": "den"}, {"scope": "b"}]},
    ),
    "team:{t}": (
        {"claim": "teams", "contains": "{t}"},
        {"any": [{"claim": "teams", "contains": "{t}"}, {"scope": "b"}]},
        {"all": [{"claim": "teams", "contains": "{t}"}, {"rule": "gate"}]},
        "server",
    ),
    "user:{u}": ({"claim": "sub", "equals": "{u}"}, "server"),
}
PUBLISHES: tuple[Any, ...] = (
    "members",
    "members",
    "nobody",
    {"scope": "b"},
    {"rule": "gate"},
    {"claim": "level", "at_least": 2},
)
AUTO_JOIN = {"team:{t}": {"t": "teams"}, "user:{u}": {"u": "sub"}}


@dataclass(frozen=True)
class Policy:
    """A configuration: rules in the file's shapes; a template that is absent is not declared."""

    gate: Any
    connect: Any
    talk: Any
    rooms: Mapping[str, tuple[Any, Any, bool]]
    audience: str = "realtime"

    def render(self) -> str:
        """Return the file."""
        rooms: dict[str, Any] = {}
        for template, (join, publish, auto) in self.rooms.items():
            rooms[template] = {"join": join, "publish": publish, "events": ["message"]}
            if auto and template in AUTO_JOIN:
                rooms[template]["auto_join"] = AUTO_JOIN[template]
        unlimited = dict.fromkeys(
            ("message_rate", "join_rate", "sessions_per_user", "rooms_per_session"), "unlimited"
        )
        return json.dumps(
            {
                "version": 1,
                "issuers": {
                    "corp": {
                        "issuer": "https://id.example.com",
                        "audience": self.audience,
                        "secret_file": "corp.secret",
                        "algorithms": ["HS256"],
                    }
                },
                "rules": {"gate": self.gate},
                "limits": unlimited,
                "namespaces": {
                    "/": {"connect": "public", "publish": self.talk, "events": ["message"]},
                    CHAT: {"connect": self.connect, "rooms": rooms},
                },
            }
        )


@dataclass
class Token:
    """What a session came in by; times are wall time in seconds."""

    sub: str
    claims: dict[str, Any]
    issued: int
    ends: int


@dataclass
class Person:
    """A session as its client knows it.

    `rooms` maps a room to whether the server's side put it there. `declined` are auto-joined rooms that it left,
    `spurned` are those that it lost by asking for them itself where only the server's side may put it.
    """

    namespace: str
    token: Token | None
    rooms: dict[str, bool] = field(default_factory=dict)
    declined: set[str] = field(default_factory=set)
    spurned: set[str] = field(default_factory=set)
    inbox: list[tuple[str | None, int]] = field(default_factory=list)
    expected: list[tuple[str | None, int]] = field(default_factory=list)
    closing: str | None = None
    alive: bool = True


class Judge:
    """Says what a policy allows, at one time, with the tokens that were revoked."""

    def __init__(self, policy: Policy, now: float, revoked: Mapping[str, float]) -> None:
        self.policy = policy
        self.now = now
        self.revoked = revoked

    def holds(self, token: Token | None) -> bool:
        """Return whether a token counts; none at all does."""
        if token is None:
            return True
        good = self.policy.audience == "realtime" and self.now < token.ends
        return good and not token.issued <= self.revoked.get(token.sub, -1.0)

    def may_connect(self, person: Person, token: Token | None = None) -> bool:
        """Return whether a person may have its session, by its own token or by another one."""
        token = token or person.token
        rule = "public" if person.namespace == "/" else self.policy.connect
        return self.holds(token) and self._truth(rule, token, {}, ()) is True

    def may_join(self, token: Token | None, room: str, rooms: Collection[str], *, by_server: bool) -> bool:
        """Return whether someone who is in these rooms may be in the room."""
        declared, params = self._find(room)
        return (
            declared is not None
            and self._truth(declared[0], token, params, rooms, by_server=by_server) is True
        )

    def may_publish(self, person: Person, room: str | None) -> bool:
        """Return whether a person may publish to the room, or to the namespace."""
        if room is None:
            return person.namespace == "/" and self._truth(self.policy.talk, person.token, {}, ()) is True
        declared, params = self._find(room)
        if declared is None or room not in person.rooms:
            return False
        return (
            declared[1] == "members" or self._truth(declared[1], person.token, params, person.rooms) is True
        )

    def find_lasting(self, person: Person) -> set[str]:
        """Return the rooms that a person may stay in: the largest set that allows each of its members."""
        if not person.alive or not self.may_connect(person):
            return set()
        left = dict(person.rooms)
        while True:
            lost = [
                room
                for room, by_server in left.items()
                if not self.may_join(person.token, room, left, by_server=by_server)
            ]
            if not lost:
                return set(left)
            for room in lost:
                del left[room]

    def list_auto_joins(self, person: Person, token: Token | None = None) -> set[str]:
        """Return the rooms that the claims of a person, or of another token, name for auto-join."""
        token = token or person.token
        if token is None or person.namespace != CHAT:
            return set()
        claims = {"sub": token.sub, **token.claims}
        named = set()
        for template, (_, _, auto) in self.policy.rooms.items():
            if auto and template in AUTO_JOIN:
                ((param, claim),) = AUTO_JOIN[template].items()
                values = claims.get(claim, [])
                values = values if isinstance(values, list) else [values]
                named |= {
                    template.replace(f"{{{param}}}", value) for value in values if isinstance(value, str)
                }
        return named

    def _find(self, room: str) -> tuple[tuple[Any, Any, bool] | None, dict[str, str | int]]:
        for template, form in _FORMS.items():
            match = form.fullmatch(room)
            if match is not None:
                return self.policy.rooms.get(template), dict(match.groupdict())
        return None, {}

    def _truth(
        self,
        rule: Any,
        token: Token | None,
        params: dict[str, str | int],
        rooms: Collection[str],
        *,
        by_server: bool = False,
    ) -> naive.Truth:
        claims = None if token is None else {"sub": token.sub, **token.claims}
        world = naive.World(
            claims=claims,
            scopes=frozenset() if claims is None else frozenset(claims.get("scope", "").split()),
            params=params,
            memberships=frozenset(rooms),
            by_server=by_server,
            rules={"gate": self.policy.gate},
            now=self.now,
        )
        return naive.truth(rule, world)
