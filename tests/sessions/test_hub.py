"""What clients see, through the hub alone: requests, acks, codes, and who gets what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compartmentd.errors import WireError
from compartmentd.policy.codes import MEANINGS, Code
from compartmentd.sessions.counters import UNDECLARED
from tests.support.peer import RecordingPeer
from tests.support.world import ISSUERS, START, World

CHAT = (
    ISSUERS
    + """
namespaces:
  /:
    connect: public
    publish: authenticated
    events: [message]
  /chat:
    connect: {scope: chat}
    limits: {rooms_per_session: 5, sessions_per_user: 2}
    rooms:
      lobby:
        join: authenticated
        publish: {scope: "chat:write"}
        events: {message: {}, typing: {volatile: true}}
      "echo:{name}":
        join: authenticated
        publish: members
        echo: true
        events: [message]
      "user:{user}":
        join: {claim: sub, equals: "{user}"}
        auto_join: {user: sub}
        events: [notification]
      "project:{project}":
        params: {project: {pattern: "[a-z]{1,10}"}}
        join: {claim: projects, contains: "{project}"}
        publish: members
        auto_join: {project: projects}
        events:
          message: {schema: text.json}
      "case:{number}":
        params: {number: {integer: {min: 1}}}
        join: {claim: cases, contains: "{number}"}
        publish: members
        events: [message]
      "board:{number}":
        params: {number: {integer: {min: 1}}}
        join: {member_of: "case:{number}"}
        publish: nobody
        events: [result]
      moderation:
        join: {all: [server, {scope: moderate}]}
        auto_join: true
        publish: members
        events: [message]
      small:
        join: authenticated
        capacity: 2
        publish: members
        limits: {message_rate: 2/s, message_size: 40B}
        events: [message]
"""
)
SCHEMA = json.dumps({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, CHAT, text__json=SCHEMA)


def member(world: World, sub: str, **claims: Any) -> Any:
    return world.connect("/chat", sub, **{"scope": "chat chat:write", **claims})


# --- connect ------------------------------------------------------------------------------------------------


def test_an_undeclared_namespace_answers_as_socketio_does(world: World) -> None:
    assert world.try_connect("/nowhere").peer.sent == [("refused", "/nowhere", "Invalid namespace", None)]


def test_what_is_not_declared_is_counted_under_one_name(world: World) -> None:
    for number in range(50):
        world.try_connect(f"/made-up-{number}", "ann")
    counters = world.hub.counters
    assert counters.decided == {("connect", UNDECLARED, Code.INVALID_NAMESPACE): 50}
    assert counters.refused == {Code.INVALID_NAMESPACE: 50}
    assert not world.hub.registry.namespaces
    record = world.records[-1]
    assert (record.namespace, record.event) == (UNDECLARED, "/made-up-49")
    assert (record.code, record.subject) == (Code.INVALID_NAMESPACE, None)


def test_the_name_of_what_is_not_declared_can_be_nobody_elses(world: World) -> None:
    assert UNDECLARED not in world.hub.snapshot.configuration.policy.namespaces
    assert not UNDECLARED.startswith("/")


@pytest.mark.parametrize(
    ("sub", "claims", "code"),
    [
        (None, {}, "token_missing"),
        ("ann", {}, "scope_missing"),
        ("ann", {"scope": 5}, "scope_missing"),
        ("ann", {"scope": "chat", "exp": int(START) - 1}, "token_expired"),
        ("ann", {"scope": "chat", "aud": "other"}, "token_invalid"),
        ("ann", {"scope": "chat", "iat": ...}, "token_invalid"),
        ("ann", {"scope": "chat", "iss": "https://evil.example.com"}, "token_invalid"),
    ],
)
def test_a_refused_connect_carries_its_code(
    world: World, sub: str | None, claims: dict[str, Any], code: str
) -> None:
    meaning = MEANINGS[Code(code)]
    expected = ("refused", "/chat", meaning.text, {"code": code, "retry": meaning.retry})
    assert world.try_connect("/chat", sub, **claims).peer.sent == [expected]


def test_a_connect_without_a_token_says_in_its_record_where_one_lay(world: World) -> None:
    world.hub.connect(RecordingPeer(), "/chat", b'{"jwt":"a.b.c"}')
    record = world.records[-1]
    assert (record.code, record.detail) == (
        Code.TOKEN_MISSING,
        "`auth` has no `token`, but `jwt`: send it as `token`",
    )


def test_a_bad_token_is_refused_where_public_would_do(world: World) -> None:
    assert world.try_connect("/", "ann", aud="other").peer.sent[0][3]["code"] == "token_invalid"


def test_an_anonymous_session_listens_and_may_not_speak(world: World) -> None:
    guest, ann = world.connect("/"), world.connect("/", "ann")
    assert guest.code("publish", None, "message", "hi") == "token_missing"
    assert ann.code("publish", None, "message", "hi") is None
    assert guest.take() == [["message", "hi", {"room": None, "from": {"user": "ann"}}]]
    assert ann.take() == []


def test_auto_join_happens_after_the_connect_reply(world: World) -> None:
    client = world.try_connect(
        "/chat", "ann", scope="chat moderate", projects=["apollo", "Not Matching", 5, "zeus"]
    )
    sent = client.peer.take()
    assert sent[0][0] == "connected"
    assert [item[2] for item in sent[1:]] == [
        ["joined", {"room": room}] for room in ("user:ann", "project:apollo", "project:zeus", "moderation")
    ]


def test_auto_join_stops_at_rooms_per_session(world: World) -> None:
    client = member(world, "ann", projects=list("abcdefgh"))
    assert len(client.rooms) == 5
    assert client.code("join", "lobby") == "too_many"
    assert client.code("join", client.rooms[0]) is None


def test_sessions_per_user_bind_the_next_connect(world: World) -> None:
    clients = [member(world, "ann"), member(world, "ann")]
    refused = world.try_connect("/chat", "ann", scope="chat").peer.sent
    assert refused[0][3] == {"code": "too_many", "retry": True}
    member(world, "bob")
    world.hub.handle_leave(clients[0].session)
    member(world, "ann")


# --- join and leave -----------------------------------------------------------------------------------------


def test_join_one_and_join_a_list(world: World) -> None:
    ann = member(world, "ann", projects=["apollo"])
    assert ann.ask("join", "lobby") == {"ok": True, "room": "lobby"}
    answers = ann.ask("join", ["lobby", "project:zeus", "nowhere", "project:apollo"])
    assert [answer.get("error", {}).get("code") for answer in answers] == [
        None,
        "rule_denied",
        "unknown_room",
        None,
    ]
    assert ann.take() == []  # joins at the client's wish are told by the ack alone


@pytest.mark.parametrize(
    "event",
    [
        ["join"],
        ["join", 5],
        ["join", None],
        ["join", ["lobby", 5]],
        ["join", ["lobby"] * 6],
        ["join", "lobby", {"unknown": 1}],
        ["join", "lobby", {}, 1],
        ["join", "lobby", None],
        ["join", "lobby", {"ticket": "x"}],
        ["leave"],
        ["leave", 5],
        ["leave", "lobby", {}],
        ["publish"],
        ["publish", "lobby"],
        ["publish", 5, "message", 1],
        ["publish", "lobby", 5, 1],
        ["publish", "lobby", None, 1],
        ["publish", "lobby", "message", 1, 2],
    ],
)
def test_a_request_of_another_form_is_invalid(world: World, event: list[Any]) -> None:
    assert member(world, "ann").code(*event) == "invalid_payload"


@pytest.mark.parametrize("event", ["presence", "history", "hello", "_x", "compartment"])
def test_what_is_no_request_is_an_unknown_event(world: World, event: str) -> None:
    assert member(world, "ann").code(event, "lobby") == "unknown_event"


def test_an_empty_list_of_rooms_is_answered_by_an_empty_list(world: World) -> None:
    assert member(world, "ann").ask("join", []) == []


def test_leave_is_ok_also_where_one_is_not(world: World) -> None:
    ann = member(world, "ann")
    assert ann.ask("leave", "lobby") == {"ok": True}
    ann.ask("join", "lobby")
    assert ann.ask("leave", "lobby") == {"ok": True}
    assert ann.rooms == ["user:ann"]


def test_a_room_behind_a_room_is_lost_with_it(world: World) -> None:
    kim = member(world, "kim", cases=[7])
    assert kim.code("join", "board:7") == "rule_denied"
    assert kim.code("join", "case:7") is None
    assert kim.code("join", "board:7") is None
    assert kim.ask("leave", "case:7") == {"ok": True}
    assert kim.take() == [["left", {"room": "board:7", "code": "rule_denied"}]]
    assert kim.rooms == ["user:kim"]


def test_a_server_room_is_closed_to_requests(world: World) -> None:
    assert member(world, "ann").code("join", "moderation") == "rule_denied"
    mod = member(world, "mod", scope="chat moderate")
    assert "moderation" in mod.rooms
    # A client's request is decided like a new join, and a refusal ends the membership.
    assert mod.code("join", "moderation") == "rule_denied"
    assert mod.take() == [["left", {"room": "moderation", "code": "rule_denied"}]]
    assert "moderation" not in mod.rooms


def test_a_server_membership_outlives_a_reload(world: World) -> None:
    mod = member(world, "mod", scope="chat moderate")
    assert world.reload(CHAT + "# changed\n") == (0, 0)
    assert "moderation" in mod.rooms
    assert mod.take() == []


def test_a_full_room_is_told_to_whom_the_rule_allows(world: World) -> None:
    ann, bob, eve = (member(world, name) for name in ("ann", "bob", "eve"))
    assert ann.code("join", "small") is None
    assert bob.code("join", "small") is None
    assert ann.code("join", "small") is None  # takes no place
    refused = eve.ask("join", "small")
    assert refused["error"]["code"] == "room_full"
    assert refused["error"]["retry"] is True
    bob.ask("leave", "small")
    assert eve.code("join", "small") is None


def test_join_rate_holds_a_page_reload_and_no_more(world: World) -> None:
    ann = member(world, "ann")
    codes = [ann.code("join", "lobby") for _ in range(7)]
    assert codes == [None] * 5 + ["rate_limited"] * 2
    assert ann.ask("join", "lobby")["error"]["after"] == 50
    world.clock.advance(1.0)
    assert ann.code("join", "lobby") is None
    assert "lobby" in ann.rooms  # a refusal for the rate does not end the membership


# --- publish ------------------------------------------------------------------------------------------------


def room_of(world: World, room: str, *names: str, **claims: Any) -> list[Any]:
    clients = [member(world, name, **claims) for name in names]
    for client in clients:
        assert client.code("join", room) is None
    return clients


def test_messages_go_to_members_only(world: World) -> None:
    ann, bob = room_of(world, "lobby", "ann", "bob")
    eve = member(world, "eve")
    for number in range(3):  # the first is decided, the others are remembered
        assert ann.ask("publish", "lobby", "message", {"n": number}) == {"ok": True}
    expected = [["message", {"n": n}, {"room": "lobby", "from": {"user": "ann"}}] for n in range(3)]
    assert bob.take() == expected
    assert ann.take() == []
    assert eve.take() == []
    assert eve.code("publish", "lobby", "message", 1) == "not_a_member"


def test_echo_sends_to_the_sender_too(world: World) -> None:
    ann, bob = room_of(world, "echo:x", "ann", "bob")
    ann.emit("publish", "echo:x", "message", "hi")
    assert ann.take() == bob.take() == [["message", "hi", {"room": "echo:x", "from": {"user": "ann"}}]]


def test_missing_data_is_null(world: World) -> None:
    ann, bob = room_of(world, "lobby", "ann", "bob")
    assert ann.code("publish", "lobby", "message") is None
    assert bob.take()[0][1] is None


def test_data_is_relayed_as_it_came(world: World) -> None:
    ann, bob = room_of(world, "lobby", "ann", "bob")
    for text in (
        '"\\u00e9é"',
        "1e2",
        "[ 1 , 2 ]",
        '{"_placeholder":true,"num":0}',
        "123456789012345678901234567890",
    ):
        assert ann.ask_raw(b'["publish","lobby","message",%b]' % text.encode()) == {"ok": True}
        assert bob.take()[0][1] == json.loads(text)


@pytest.mark.parametrize(
    "spacing", [b'[ "publish","lobby","message",1]', b'["publish" ,"lobby", "message",1 ]']
)
def test_spacing_changes_nothing(world: World, spacing: bytes) -> None:
    ann, bob = room_of(world, "lobby", "ann", "bob")
    assert ann.ask_raw(spacing) == {"ok": True}
    assert bob.take()[0][1] == 1


def test_binary_data_is_kept_where_there_is_no_schema(world: World) -> None:
    ann, bob = room_of(world, "lobby", "ann", "bob")
    payload = b'["publish","lobby","message",{"a":{"_placeholder":true,"num":0}}]'
    assert ann.ask_raw(payload, b"\x00\xff") == {"ok": True}
    assert bob.peer.take() == [
        (
            "event",
            "/chat",
            ["message", {"a": {"_placeholder": True, "num": 0}}, {"room": "lobby", "from": {"user": "ann"}}],
            [b"\x00\xff"],
        ),
    ]


def test_binary_data_does_not_fit_a_schema(world: World) -> None:
    (ann,) = room_of(world, "project:apollo", "ann", projects=["apollo"])
    payload = b'["publish","project:apollo","message",{"text":{"_placeholder":true,"num":0}}]'
    assert ann.ask_raw(payload, b"x")["error"]["code"] == "invalid_payload"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"text":"hi"}', None),
        (b'{"text":5}', "invalid_payload"),
        (b"{}", "invalid_payload"),
        (b"null", "invalid_payload"),
        (b'{"text":5,"text":"hi"}', "invalid_payload"),  # recipients may read the other one
        (b'{"text":"hi","deep":' + b"[" * 20 + b"]" * 20 + b"}", None),
    ],
)
def test_payload_schema(world: World, data: bytes, code: str | None) -> None:
    ann, bob = room_of(world, "project:apollo", "ann", "bob", projects=["apollo"])
    for _ in range(2):
        answer = ann.ask_raw(b'["publish","project:apollo","message",' + data + b"]")
        assert (None if answer["ok"] else answer["error"]["code"]) == code
    assert len(bob.take()) == (2 if code is None else 0)


def test_a_lone_surrogate_is_refused_and_the_connection_stays(world: World) -> None:
    ann, bob = room_of(world, "lobby", "ann", "bob")
    assert ann.ask_raw(b'["publish","lobby","message","\\ud800"]')["error"]["code"] == "invalid_payload"
    assert bob.take() == []


@pytest.mark.parametrize(
    "payload", [b'["publish","lobby","message",', b'["publish","lobby",NaN]', b"{}", b"[]"]
)
def test_what_is_no_event_ends_the_connection(world: World, payload: bytes) -> None:
    (ann,) = room_of(world, "lobby", "ann")
    with pytest.raises(WireError):
        world.hub.handle_event(ann.session, 1, payload, ())


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (["publish", "lobby", "nothing", 1], "unknown_event"),
        (["publish", "nowhere", "message", 1], "unknown_room"),
        (["publish", "small", "message", 1], "not_a_member"),
        (["publish", None, "message", 1], "unknown_event"),
        (["publish", "user:ann", "notification", 1], "rule_denied"),
        (["publish", "lobby", "message", "x" * 65_537], "too_large"),
    ],
)
def test_codes_of_publish(world: World, event: list[Any], code: str) -> None:
    (ann,) = room_of(world, "lobby", "ann")
    assert ann.code(*event) == code
    assert ann.code("publish", "lobby", "message", 1) is None


def test_scope_missing_names_no_scope(world: World) -> None:
    (ann,) = room_of(world, "lobby", "ann", scope="chat")
    refused = ann.ask("publish", "lobby", "message", 1)
    assert refused["error"] == {"code": "scope_missing", "message": "the token lacks a scope", "retry": False}


def test_message_rate_is_per_session(world: World) -> None:
    ann, bob = room_of(world, "lobby", "ann", "bob")
    codes = [ann.code("publish", "lobby", "message", 1) for _ in range(60)]
    assert codes == [None] * 50 + ["rate_limited"] * 10
    assert bob.code("publish", "lobby", "message", 1) is None
    world.clock.advance(0.1)
    assert [ann.code("publish", "lobby", "message", 1) for _ in range(6)] == [None] * 5 + ["rate_limited"]


def test_a_rooms_own_rate_counts_in_addition(world: World) -> None:
    ann, _ = room_of(world, "small", "ann", "bob")
    assert [ann.code("publish", "small", "message", 1) for _ in range(3)] == [None, None, "rate_limited"]
    assert ann.code("join", "lobby") is None
    assert ann.code("publish", "lobby", "message", 1) is None


def test_a_rooms_own_size_binds(world: World) -> None:
    ann, _ = room_of(world, "small", "ann", "bob")
    assert ann.code("publish", "small", "message", "x" * 38) is None
    assert ann.code("publish", "small", "message", "x" * 39) == "too_large"


def test_without_an_ack_id_a_refusal_is_dropped_and_counted(world: World) -> None:
    (ann,) = room_of(world, "lobby", "ann")
    ann.emit("publish", "nowhere", "message", 1)
    ann.emit("join", "nowhere")
    ann.emit("hello")
    assert ann.take() == []
    assert world.hub.counters.unanswered == 3


def test_a_volatile_message_is_dropped_for_whoever_is_behind(world: World) -> None:
    ann, bob, eve = room_of(world, "lobby", "ann", "bob", "eve")
    bob.peer.is_writable = False
    ann.emit("publish", "lobby", "typing", True)
    ann.emit("publish", "lobby", "message", 1)
    assert [item[0] for item in bob.take()] == ["message"]
    assert [item[0] for item in eve.take()] == ["typing", "message"]


def test_ten_seconds_of_refusals_for_the_rate_close_the_connection(world: World) -> None:
    (ann,) = room_of(world, "lobby", "ann")
    for _ in range(50):
        ann.emit("publish", "lobby", "message", 1)
    for _ in range(100):
        ann.session.messages.level = 0.0
        ann.emit("publish", "lobby", "message", 1)
        assert ann.peer.closed_for is None
        world.clock.steady += 0.1
        ann.session.messages.stamp = world.clock.steady
    ann.session.messages.level = 0.0
    ann.emit("publish", "lobby", "message", 1)
    assert ann.peer.closed_for is not None


def test_a_list_of_joins_ends_with_the_connection_that_it_is_refused_for(world: World) -> None:
    peer = RecordingPeer()
    ann = member(world, "ann", peer=peer)
    session = ann.session

    def close(reason: str) -> None:
        world.hub.handle_close(peer, [session], reason)

    peer.close = close  # type: ignore[method-assign]
    rooms = ["echo:a", "echo:b", "echo:c"]
    for _ in range(101):
        assert not session.ended
        session.joins.level, session.joins.stamp = 0.0, world.clock.steady
        ann.emit("join", rooms)
        world.clock.steady += 0.1
    assert session.ended
    assert not world.hub.registry.memberships
    assert not world.hub._core.flood_guard.floods


def test_what_the_own_rate_of_a_room_took_stays_taken(world: World) -> None:
    world.reload(CHAT.replace("{message_rate: 2/s,", "{join_rate: 1/s, message_rate: 2/s,"))
    ann = member(world, "ann")
    assert [ann.code("join", "small") for _ in range(2)] == [None, "rate_limited"]
    assert ann.code("refresh", world.token("ann", scope="chat")) is None
    assert ann.code("join", "small") == "rate_limited"
    world.reload(CHAT.replace("{message_rate: 2/s,", "{join_rate: 1/s, message_rate: 3/s,"))
    assert ann.code("join", "small") == "rate_limited"
    world.clock.advance(1.0)
    assert ann.code("refresh", world.token("ann", scope="chat")) is None
    assert ann.session.own_joins is None  # full again, so there is nothing to remember
    assert ann.code("join", "small") is None


def test_leaving_and_closing_forget_everything(world: World) -> None:
    peer = RecordingPeer()
    chat, root = member(world, "ann", peer=peer), world.connect("/", peer=peer)
    chat.ask("join", "lobby")
    world.hub.handle_close(peer, [chat.session, root.session], "transport close")
    assert world.hub.registry.namespaces == {}
    assert (world.hub.registry.sessions, world.hub.registry.memberships) == (0, 0)


# --- time ---------------------------------------------------------------------------------------------------


def test_a_session_is_warned_and_ends_with_its_token(world: World) -> None:
    ann = member(world, "ann", exp=int(START) + 100)
    world.tick(39.9)
    assert ann.take() == []
    world.tick(0.1)
    assert ann.take() == [["expiring", {"in": 60_000}]]
    world.tick(59.9)
    assert ann.take() == []
    world.tick(0.1)
    assert ann.take() == [["closing", {"code": "token_expired", "retry": True}], ("disconnected", "/chat")]
    assert world.hub.registry.sessions == 0


def test_a_token_that_ends_soon_is_told_right_after_connect(world: World) -> None:
    client = world.try_connect("/chat", "ann", scope="chat", exp=int(START) + 10)
    events = [item[2] for item in client.peer.take() if item[0] == "event"]
    assert ["expiring", {"in": 10_000}] in events
    world.tick(9.9)
    assert client.take() == []


def test_no_request_is_decided_after_the_end(world: World) -> None:
    ann, bob = room_of(world, "lobby", "ann", "bob", exp=int(START) + 100)
    world.clock.advance(100)  # no tick has come yet
    ann.emit("publish", "lobby", "message", "late")
    assert [item[0] for item in ann.take()] == ["closing", "disconnected"]
    assert bob.take() == []


def test_max_age_ends_a_session_too(world: World) -> None:
    ann = member(world, "ann", exp=int(START) + 20 * 86400)
    world.tick(86_399)
    assert [item[0] for item in ann.take()] == ["expiring"]
    world.tick(1)
    assert [item[0] for item in ann.take()] == ["closing", "disconnected"]


def test_deep_nesting_is_not_passed_on(world: World) -> None:
    ann, bob = room_of(world, "lobby", "ann", "bob")
    for _ in range(2):  # decided, then remembered
        deep = b'["publish","lobby","message",' + b"[" * 31 + b"1" + b"]" * 31 + b"]"
        assert ann.ask_raw(deep) == {"ok": True}
        deeper = b'["publish","lobby","message",' + b"[" * 32 + b"1" + b"]" * 32 + b"]"
        assert ann.ask_raw(deeper)["error"]["code"] == "invalid_payload"
        wide = b'["publish","lobby","message",[' + b",".join([b"[]"] * 100) + b"]]"
        assert ann.ask_raw(wide) == {"ok": True}
    assert len(bob.take()) == 4
