"""A stateful fuzzer of the whole server: interleaved sessions on real codecs, a hub, reloads, time, and a model.

What a client is told (acks, `joined`, `left`, `closing`) makes up its own view, and each of these is checked with
the model when it comes: P1, no way in without a decision that allows; P2, nothing delivered to others;
P3, nothing lost for those who may stay; P4, after a reload nobody is where the new policy does not let them; P5,
what time, a logout or a revocation ends has ended. Messages arrive once, and in order for each sender and room.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from compartmentd.policy.codes import Code
from compartmentd.sessions.revocations import Revocation
from tests.fuzz.codec import LoopbackHost, Wire
from tests.fuzz.model import CHAT, GATES, JOINS, PUBLISHES, RULES, TEMPLATES, Judge, Person, Policy, Token
from tests.support.world import SECRET, START, World

SUBJECTS = ("ann", "bob", "eve")
TALKS = ("public", "authenticated", "nobody", {"scope": "a"})
ROOMS = ("lobby", "den", "attic", "team:x", "team:y", "user:ann", "user:bob", "nowhere")


def without_orphans(policy: Policy) -> Policy:
    """Return a policy without the room behind a room that is not declared, which the compiler refuses."""
    wanted = {name for name in ("den", "lobby") if f'"{name}"' in json.dumps(policy.rooms.get("attic"))}
    if wanted <= policy.rooms.keys():
        return policy
    return replace(policy, rooms={name: room for name, room in policy.rooms.items() if name != "attic"})


rooms = {
    name: st.tuples(st.sampled_from(JOINS[name]), st.sampled_from(PUBLISHES), st.booleans())
    for name in TEMPLATES
}
policies = st.builds(
    Policy,
    gate=st.sampled_from(GATES),
    connect=st.sampled_from(("authenticated", "public", *RULES)),
    talk=st.sampled_from(TALKS),
    rooms=st.fixed_dictionaries({}, optional=rooms),
    audience=st.sampled_from(("realtime",) * 9 + ("other",)),
)
"""Any policy, which may have nothing in common with the one before it."""

changes = st.one_of(
    *(room.map(lambda declared, name=name: {name: declared}) for name, room in rooms.items()),
    st.sampled_from(TEMPLATES).map(lambda name: {name: None}),
    st.sampled_from(GATES).map(lambda gate: {"gate": gate}),
    st.sampled_from(RULES).map(lambda connect: {"connect": connect}),
    st.sampled_from(TALKS).map(lambda talk: {"talk": talk}),
)
"""A change of one part of a policy; a room that is `None` is removed."""


def change(policy: Policy, part: dict[str, Any]) -> Policy:
    """Return the policy with one part changed."""
    ((name, value),) = part.items()
    if name not in TEMPLATES:
        return replace(policy, **part)
    changed = {**policy.rooms, name: value}
    return replace(policy, rooms={each: room for each, room in changed.items() if room is not None})


claims = st.fixed_dictionaries(
    {},
    optional={
        "scope": st.sampled_from(("", "a", "b", "a b", "a b", "a b")),
        "level": st.sampled_from((1, 2, 3, 3, "3")),
        "suspended": st.sampled_from((True, False, False, "no")),
        "teams": st.sampled_from(([], ["x"], ["x", "y"], ["x", "y"], "x", [1])),
        "until": st.sampled_from((START - 1, START + 30, START + 300, START + 3000)),
    },
)
_TRUSTED = {"scope": "a b", "level": 3, "teams": ["x", "y"], "until": START + 3000}
START_POLICY = Policy(
    gate={"scope": "a"},
    connect="authenticated",
    talk="authenticated",
    rooms={
        "lobby": ("authenticated", "members", False),
        "den": ({"rule": "gate"}, "members", False),
        "attic": ({"member_of": "den"}, "members", False),
        "team:{t}": ({"claim": "teams", "contains": "{t}"}, "members", True),
        "user:{u}": ({"claim": "sub", "equals": "{u}"}, "nobody", True),
    },
)
some = st.integers(0, 1 << 16)


class Server(RuleBasedStateMachine):
    """The server and its model; each rule is something that a client, the operator, a provider or time does."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory(prefix="stateful-")
        self.policy = START_POLICY
        self.world = World(Path(self._directory.name), START_POLICY.render())
        self.hub = self.world.hub
        self.host = LoopbackHost()
        self.people: list[tuple[Wire, Person]] = []
        self.revoked: dict[str, float] = {}
        self.number = 0
        self.settled = True
        self.doomed: set[str] = set()
        self.before: Token | None = None

    def teardown(self) -> None:
        """Check everything once more, unless something was found already, and end."""
        try:
            if sys.exc_info()[0] is None:
                self._end()
        finally:
            self._directory.cleanup()

    def _end(self) -> None:
        self._settle()
        assert self.world.failures == []
        assert self.host.counters.errors == 0
        for wire, _ in self.people:
            if not wire.closed:
                wire.lose()
        assert not list(self.hub.registry), "a session outlives its connection"

    @property
    def now(self) -> int:
        """Wall time in whole seconds."""
        return int(self.world.clock.now)

    @property
    def judge(self) -> Judge:
        """What is right now."""
        return Judge(self.policy, self.world.clock.now, self.revoked)

    # --- clients ------------------------------------------------------------------------------------------------

    @initialize(given=st.lists(st.tuples(st.sampled_from(SUBJECTS), claims), min_size=3, max_size=5))
    def begin(self, given: list[tuple[str, dict[str, Any]]]) -> None:
        """Let some people in, of whom many may do much, and two who listen to the namespace."""
        for index, (sub, named) in enumerate(given):
            self._enter(CHAT, self._issue(sub, {**_TRUSTED, **named}, 600), polling=index % 2 == 1)
        for sub in ("ann", None):
            self._enter("/", None if sub is None else self._issue(sub, {}, 600), polling=False)
        for index, _ in enumerate(given):
            self.join(index, ["lobby", "den", "attic"][: index + 1])

    @rule(
        namespace=st.sampled_from((CHAT, CHAT, "/")),
        sub=st.sampled_from((*SUBJECTS, None)),
        named=claims.map(lambda named: {**_TRUSTED, **named}),
        lifetime=st.sampled_from((20, 600, 600)),
        polling=st.booleans(),
    )
    def connect(
        self, namespace: str, sub: str | None, named: dict[str, Any], lifetime: int, *, polling: bool
    ) -> None:
        """Someone comes, with a token or without."""
        token = None if sub is None else self._issue(sub, named, lifetime)
        self._enter(namespace, token, polling=polling)

    def _issue(self, sub: str, named: dict[str, Any], lifetime: int) -> Token:
        return Token(sub, named, self.now, self.now + lifetime)

    def _enter(self, namespace: str, token: Token | None, *, polling: bool) -> None:
        wire, person = Wire(self.host, self.hub, polling=polling), Person(namespace, token)
        wire.connect(namespace, None if token is None else sign(token))
        allowed = self.judge.may_connect(person)
        answers = [each for each in wire.take() if each[0] in {"0", "4"} or self._hear(person, each)]
        assert [each[0] for each in answers] == ["0" if allowed else "4"], (
            f"let in: {answers}, allowed: {allowed}"
        )
        if allowed:
            self.people.append((wire, person))
            self._check_auto_joins(person)

    @precondition(lambda self: self.people)
    @rule(who=some, names=st.lists(st.sampled_from(ROOMS), min_size=1, max_size=4))
    def join(self, who: int, names: list[str]) -> None:
        """Someone asks for some rooms, one after the other."""
        wire, person = self._pick(who)
        for room in names if person.namespace == CHAT else ():
            if person.alive:
                self._join(wire, person, room)

    def _join(self, wire: Wire, person: Person, room: str) -> None:
        before = self._lasting(person)
        allowed = before is not None and self.judge.may_join(person.token, room, before, by_server=False)
        answer = self._ask(wire, person, "join", room)
        if before is None:
            assert answer is None
            return
        assert answer["ok"] is allowed, f"join {room}: {answer}, allowed: {allowed}"
        if allowed:
            person.rooms.setdefault(room, False)
            person.declined.discard(room)

    @precondition(lambda self: self.people)
    @rule(who=some, room=st.sampled_from(ROOMS))
    def leave(self, who: int, room: str) -> None:
        """Someone leaves a room; what depends on it is left, too."""
        wire, person = self._pick(who)
        lasting = self._lasting(person) or ()
        answer = wire.ask(person.namespace, "leave", room)
        left = answer is not None and answer["ok"]
        if left and room in lasting:
            person.rooms.pop(room, None)
        self._listen(wire, person)
        if left:
            # A session that is judged by this event may be put into the room first, and then leaves it.
            was_in = room in lasting or person.rooms.pop(room, None) is not None
            if was_in and room in self.judge.list_auto_joins(person):
                person.declined.add(room)

    @precondition(lambda self: self.people)
    @rule(said=st.lists(st.tuples(some, st.integers(0, 12)), min_size=1, max_size=8))
    def publish(self, said: list[tuple[int, int]]) -> None:
        """People say things: mostly in rooms that they are in, sometimes elsewhere, or to the namespace."""
        for who, where in said:
            wire, person = self._pick(who)
            places = [*sorted(person.rooms) * 2, None, "lobby", "nowhere"]
            if person.alive:
                self._publish(wire, person, places[where % len(places)])

    def _publish(self, wire: Wire, person: Person, room: str | None) -> None:
        self.number += 1
        lasting = self._lasting(person)
        answer = self._ask(wire, person, "publish", room, "message", {"n": self.number})
        if lasting is None:
            assert answer is None, "a session that may not be speaks"
            return
        allowed = self.judge.may_publish(person, room)
        assert answer["ok"] is allowed, f"publish to {room}: {answer}, allowed: {allowed}"
        if allowed:
            self._expect(person, room)

    def _expect(self, sender: Person, room: str | None) -> None:
        for _, each in self.people:
            if each is sender or not each.alive or each.namespace != sender.namespace:
                continue
            if room is None:
                reached = self.judge.may_connect(each)
            else:
                reached = room in each.rooms and room in self.judge.find_lasting(each)
            if reached:
                each.expected.append((room, self.number))

    @precondition(lambda self: self.people)
    @rule(who=some, named=claims, lifetime=st.sampled_from((20, 600)), other=st.booleans())
    def refresh(self, who: int, named: dict[str, Any], lifetime: int, *, other: bool) -> None:
        """Someone brings a newer token, perhaps of another person."""
        wire, person = self._pick(who)
        if person.token is None:
            return
        sub = "other" if other and lifetime == 20 else person.token.sub
        token = self._issue(sub, named, lifetime)
        lasting = self._lasting(person)
        allowed = lasting is not None and sub == person.token.sub and self.judge.may_connect(person, token)
        # A session that is not judged yet is judged by its old token first, and loses what that does not hold.
        self.doomed, self.before = person.rooms.keys() - (lasting or ()), person.token
        if allowed:
            person.token = token
        answer = self._ask(wire, person, "refresh", sign(token))
        self.doomed, self.before = set(), None
        if lasting is None:
            assert answer is None, "a session that may not be is refreshed"
            return
        assert answer["ok"] is allowed, f"refresh: {answer}, allowed: {allowed}"
        if allowed:
            self._check_auto_joins(person)

    @precondition(lambda self: len(self.people) > 3)
    @rule(who=some)
    def disconnect(self, who: int) -> None:
        """A connection is lost."""
        wire, person = self._pick(who)
        self._listen(wire, person)
        wire.lose()
        self._check_inbox(person, complete=False)
        self.people = [each for each in self.people if each[1] is not person]

    @precondition(lambda self: self.people)
    @rule(who=some)
    def upgrade(self, who: int) -> None:
        """A connection moves from polling to WebSocket: what is queued is read from frames from now on."""
        wire, _ = self._pick(who)
        wire.polling = False

    # --- the operator, the provider and time ---------------------------------------------------------------------

    @rule(part=changes)
    def edit(self, part: dict[str, Any]) -> None:
        """The operator changes one part of the policy; nobody is judged by the new one yet."""
        self._reload(change(self.policy, part))

    @rule(new=policies)
    def replace_policy(self, new: Policy) -> None:
        """The operator puts another policy in force."""
        self._reload(new)

    def _reload(self, new: Policy) -> None:
        new = without_orphans(new)
        self._settle()
        self.world.swap(new.render())
        self.policy = new
        self.settled = False

    @precondition(lambda self: not self.settled)
    @rule()
    def judge_one(self) -> None:
        """The server judges one more session."""
        self.hub.judge_some(0.0)

    @precondition(lambda self: len(self.people) > 3)
    @rule(sub=st.sampled_from(SUBJECTS))
    def log_out(self, sub: str) -> None:
        """The provider reports that someone has logged out."""
        now = self.world.clock.now
        self.hub.revoke(
            Revocation(
                issuer="https://id.example.com",
                kind="sub",
                value=sub,
                before=now,
                code=Code.LOGGED_OUT,
                at=now,
            )
        )
        self.revoked[sub] = now
        while not self.hub.sweep(1.0):
            pass
        self._settle()

    @rule(seconds=st.sampled_from((1, 5, 25, 120)))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self._settle()
        self.world.tick(seconds)
        self._settle()

    # --- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def nothing_failed(self) -> None:
        """No error of ours."""
        assert self.world.failures == []

    def _settle(self) -> None:
        """Let the server finish; then everybody is where the model says, and has what was said there."""
        while not self.hub.judge_some(1.0):
            pass
        was_settled, self.settled = self.settled, True
        for wire, person in self.people:
            self._listen(wire, person)
            if not person.alive:
                assert not self.judge.may_connect(person), "a session ended that may stay"
                self._check_inbox(person, complete=False)
                continue
            assert self.judge.may_connect(person), "a session lives on that may not"
            assert self.judge.find_lasting(person) == set(person.rooms), (
                "someone is in a room without permission"
            )
            session = self._session(wire, person)
            assert {str(room) for room in session.memberships} == set(person.rooms), "a client was not told"
            self._check_inbox(person, complete=True)
            if not was_settled:
                self._check_auto_joins(person)
        self.people = [each for each in self.people if each[1].alive]

    def _session(self, wire: Wire, person: Person) -> Any:
        return wire.connection._sessions[person.namespace.encode()]

    def _check_inbox(self, person: Person, *, complete: bool) -> None:
        """Compare what came with what was said: no more, nothing twice, in order; all of it for those who stay."""
        if complete:
            assert person.inbox == person.expected, "a message was lost, doubled, leaked or out of order"
        else:
            assert person.inbox == person.expected[: len(person.inbox)], (
                "a message leaked or was out of order"
            )
        person.inbox.clear()
        person.expected.clear()

    def _check_auto_joins(self, person: Person) -> None:
        for room in (
            self.judge.list_auto_joins(person) - person.declined - person.spurned - person.rooms.keys()
        ):
            allowed = self.judge.may_join(person.token, room, person.rooms, by_server=True)
            assert not allowed, f"{room} was not auto-joined"

    # --- a client's view -----------------------------------------------------------------------------------------

    def _pick(self, who: int) -> tuple[Wire, Person]:
        return self.people[who % len(self.people)]

    def _lasting(self, person: Person) -> set[str] | None:
        """Return the rooms that someone may stay in, `None` if the session may not stay at all."""
        return self.judge.find_lasting(person) if self.judge.may_connect(person) else None

    def _ask(self, wire: Wire, person: Person, *event: Any) -> Any:
        answer = wire.ask(person.namespace, *event)
        self._listen(wire, person)
        return answer

    def _listen(self, wire: Wire, person: Person) -> None:
        for packet in wire.take():
            self._hear(person, packet)

    def _hear(self, person: Person, packet: tuple[str, str, int | None, Any]) -> None:
        kind, namespace, _, body = packet
        assert namespace == person.namespace
        assert person.alive, f"something came after the end: {packet}"
        if kind == "1":
            person.alive = False
            assert person.closing is not None, "a session ended without a reason"
            assert not self.judge.may_connect(person), f"a session was ended that may stay: {person.closing}"
            return
        assert kind == "2", f"a stray packet: {packet}"
        name, detail, *meta = body
        if name == "message":
            person.inbox.append((meta[0].get("room"), detail["n"]))
        elif name == "joined":
            room = detail["room"]
            named = self.judge.list_auto_joins(person) | self.judge.list_auto_joins(person, self.before)
            assert room in named, f"{room} was joined for no reason"
            assert room not in person.declined, f"{room} was left, and joined again"
            person.rooms[room] = True
        elif name == "left":
            self._lose(person, detail["room"])
        elif name == "closing":
            person.closing = detail["code"]
        else:
            assert name == "expiring", f"an event that nobody sent: {body}"

    def _lose(self, person: Person, room: str) -> None:
        """Someone was put out of a room: the server's side may not put it there, or it asked itself and may not."""
        by_server = person.rooms.pop(room)
        if room in self.doomed:
            return
        lasting = self.judge.find_lasting(person)
        stays = self.judge.may_join(person.token, room, {*lasting, room}, by_server=by_server)
        asked = by_server and not self.judge.may_join(person.token, room, lasting, by_server=False)
        if stays:
            person.spurned.add(room)
        assert asked or not stays, f"someone who may stay was put out of {room}"


def sign(token: Token) -> str:
    """Return a token as the provider issues it."""
    body = {
        "iss": "https://id.example.com",
        "aud": "realtime",
        "sub": token.sub,
        "iat": token.issued,
        "exp": token.ends,
    }
    return jwt.encode({**body, **token.claims}, SECRET, algorithm="HS256")
