"""The official JavaScript client against the daemon: what a user's page relies on, one after another."""

from __future__ import annotations

import pytest

from tests.integration.world import CHAT
from tests.support.daemon import Daemon
from tests.support.jsclient import JsClient, JsManager, JsSocket, js_client
from tests.support.mint import Issuer
from tests.support.timing import eventually

TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]]
WIRE = pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)


async def chat(js: JsClient, daemon: Daemon, token: str, **options: object) -> JsSocket:
    """Connect to `/chat` on a connection of its own."""
    manager: JsManager = await js.manager(daemon.url, **{"transports": ["websocket"], **options})
    return await manager.socket("/chat", token)


async def empty(daemon: Daemon) -> None:
    """Wait until nobody is connected, and assert that nothing is left of those who were."""
    await eventually(lambda: daemon.status()["connections"] == 0, "nobody is connected")
    status = daemon.status()
    assert (status["sessions"], status["rooms"]) == (0, 0)
    assert all(counts == {"sessions": 0, "rooms": 0} for counts in status["namespaces"].values())


# --- connecting -----------------------------------------------------------------------------------------


@WIRE
async def test_connects_joins_and_gets_messages(shared: Daemon, corp: Issuer, transports: list[str]) -> None:
    async with js_client() as js:
        ann = await chat(js, shared, corp.token("ann", scope=CHAT), transports=transports)
        bob = await chat(js, shared, corp.token("bob", scope="chat:connect"), transports=transports)
        assert await ann.ok("join", "lobby") == {"ok": True, "room": "lobby"}
        await bob.ok("join", "lobby")
        await ann.ok("publish", "lobby", "message", {"text": "hällo 👋"})
        data, meta = await bob.event("message")
        assert data == {"text": "hällo 👋"}
        assert meta["room"] == "lobby"
        assert meta["from"] == {"user": "ann"}
        await bob.ok("leave", "lobby")
        await ann.ok("publish", "lobby", "message", {"text": "are you there?"})
        await bob.ok("join", "lobby")
        await ann.ok("publish", "lobby", "message", {"text": "again"})
        assert (await bob.event("message"))[0] == {"text": "again"}, "nothing came while bob was out"


async def test_polling_upgrades_to_websocket_and_loses_nothing(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        manager = await js.manager(shared.url, transports=["polling", "websocket"])
        ann = await manager.socket("/chat", corp.token("ann", scope=CHAT))
        assert (await manager.sees("open"))["transport"] == "polling"
        await ann.ok("join", "mirror")
        for number in range(50):
            await ann.ok("publish", "mirror", "message", number)
        assert [(await ann.event("message"))[0] for _ in range(50)] == list(range(50))
        assert (await manager.sees("upgrade"))["transport"] == "websocket"
        assert await manager.transport() == "websocket"


async def test_an_undeclared_namespace_answers_as_socket_io_does(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        manager = await js.manager(shared.url)
        for namespace in ("/nowhere", "/chat/", "/Chat"):
            refused = await manager.refusal(namespace, corp.token("ann", scope=CHAT))
            assert (refused["message"], refused["data"]) == ("Invalid namespace", None)


async def test_every_refusal_of_a_connect_says_what_the_client_can_do(shared: Daemon, corp: Issuer) -> None:
    stranger = Issuer("stranger")
    impostor = Issuer("corp", key="other")
    cases = {
        "scope_missing": corp.token("bob", scope="chat:read"),
        "token_missing": None,
        "token_expired": corp.token("ann", scope=CHAT, lifetime=-10),
        "token_invalid": [
            "nonsense",
            "",
            17,
            stranger.token("ann", scope=CHAT),
            impostor.token("ann", scope=CHAT),
            corp.token("ann", scope=CHAT, aud="other"),
            corp.token("ann", scope=CHAT, exp=...),
            corp.token("ann", scope=CHAT, headers={"typ": "logout+jwt"}),
        ],
    }
    async with js_client() as js:
        manager = await js.manager(shared.url)
        await manager.socket("/")  # which keeps the connection while others are refused
        for code, tokens in cases.items():
            for token in tokens if isinstance(tokens, list) else [tokens]:
                refused = await manager.refusal("/chat", auth={"token": token})
                assert (refused["data"]["code"], refused["data"]["retry"]) == (code, False), token
                assert refused["message"], code
                assert refused["active"] is False, "the client stays down until told"


async def test_a_bad_token_is_refused_even_where_none_is_needed(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        manager = await js.manager(shared.url)
        assert (await manager.refusal("/", corp.token("ann", lifetime=-10)))["data"][
            "code"
        ] == "token_expired"
        anonymous = await manager.open("/", auth={"token": None, "other": 1})
        await anonymous.connected()
        assert await anonymous.denied("publish", None, "message", "hello") == "token_missing"


async def test_the_header_may_bring_the_token_but_not_besides_auth(shared: Daemon, corp: Issuer) -> None:
    token = corp.token("ann", scope=CHAT)
    async with js_client() as js:
        manager = await js.manager(shared.url, extraHeaders={"Authorization": f"Bearer {token}"})
        await manager.socket("/chat")
        assert (await manager.refusal("/staff", token))["data"]["code"] == "token_invalid"


@WIRE
async def test_namespaces_with_different_tokens_share_one_connection(
    shared: Daemon, corp: Issuer, transports: list[str]
) -> None:
    async with js_client() as js:
        await empty(shared)
        manager = await js.manager(shared.url, transports=transports)
        everyone = await manager.socket("/")
        ann = await manager.socket("/chat", corp.token("ann", scope=CHAT))
        refused = await manager.refusal("/staff", corp.token("ann", scope=CHAT))
        assert refused["data"]["code"] == "scope_missing", "ann's token is that of /chat alone"
        desk = await manager.socket("/staff", corp.token("root", scope="staff"))
        await desk.ok("join", "desk")
        assert shared.status()["connections"] == 1
        other = await (await js.manager(shared.url)).socket("/chat", corp.token("bob", scope=CHAT))
        for socket in (ann, other):
            await socket.ok("join", "mirror")
        await ann.ok("publish", "mirror", "message", 1)
        assert (await other.event("message"))[1]["from"] == {"user": "ann"}
        await desk.ok("publish", "desk", "message", 2)
        assert not everyone.saw("message")
        await ann.disconnect()
        await desk.ok("publish", "desk", "message", 3)


# --- rooms ----------------------------------------------------------------------------------------------


async def test_a_foreign_room_is_refused_and_silent(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann = await chat(js, shared, corp.token("ann", scope=CHAT, projects=["apollo"]))
        bob = await chat(js, shared, corp.token("bob", scope=CHAT, projects=["zeus"]))
        await ann.ok("join", "project:apollo")
        assert await bob.denied("join", "project:apollo") == "rule_denied"
        assert await bob.denied("publish", "project:apollo", "message", "let me in") == "not_a_member"
        assert await bob.denied("join", "project:UPPER") == "unknown_room"
        assert await bob.denied("join", "nowhere") == "unknown_room"
        await ann.ok("publish", "project:apollo", "message", "secret")
        await bob.ok("join", "lobby")
        await ann.ok("join", "lobby")
        await ann.ok("publish", "lobby", "message", {"text": "open"})
        assert (await bob.event("message"))[0] == {"text": "open"}


async def test_a_list_join_answers_in_its_order(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann = await chat(js, shared, corp.token("ann", scope=CHAT, projects=["a", "b"]))
        answers = await ann.emit("join", ["project:b", "nowhere", "project:c", "project:a"])
        assert [answer["ok"] for answer in answers] == [True, False, False, True]
        assert [answer.get("room") for answer in answers] == ["project:b", None, None, "project:a"]
        assert [answer["error"]["code"] for answer in answers if not answer["ok"]] == [
            "unknown_room",
            "rule_denied",
        ]
        assert await ann.denied("join", ["lobby"] * 101) == "invalid_payload"


async def test_auto_join_brings_the_rooms_of_the_claims(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        token = corp.token("ann", scope=f"{CHAT} chat:moderate", teams=["red", "NOT-A-TEAM", "blue"])
        ann = await chat(js, shared, token)
        rooms = {(await ann.event("joined"))[0]["room"] for _ in range(4)}
        assert rooms == {"user:ann", "team:red", "team:blue", "moderation"}
        await ann.ok("publish", "team:red", "message", "hi")
        bob = await chat(js, shared, corp.token("bob", scope=CHAT))
        assert (await bob.event("joined"))[0] == {"room": "user:bob"}
        assert await bob.denied("join", "moderation") == "rule_denied"
        await ann.ok("leave", "moderation")
        assert await ann.denied("join", "moderation") == "rule_denied", (
            "a client's request is never the server's"
        )


async def test_echo_gives_the_sender_its_own_message_and_others_do_not(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann = await chat(js, shared, corp.token("ann", scope=CHAT))
        for room in ("mirror", "lobby"):
            await ann.ok("join", room)
        await ann.ok("publish", "lobby", "message", {"text": "not to me"})
        await ann.ok("publish", "mirror", "message", "to me")
        assert (await ann.event("message"))[0] == "to me"


async def test_capacity_binds_whoever_comes_last(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        first, second, third = [
            await chat(js, shared, corp.token(name, scope=CHAT)) for name in ("a", "b", "c")
        ]
        await first.ok("join", "small")
        await second.ok("join", "small")
        await second.ok("join", "small")
        answer = await third.emit("join", "small")
        assert (answer["error"]["code"], answer["error"]["retry"]) == ("room_full", True)
        await first.ok("leave", "small")
        await third.ok("join", "small")
        assert await first.denied("join", "small") == "room_full"


async def test_a_room_behind_a_room_is_lost_with_it(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        kim = await chat(js, shared, corp.token("kim", scope=CHAT, clearance=3))
        assert await kim.denied("join", "board:7") == "rule_denied"
        await kim.ok("join", "case:7")
        assert await kim.denied("join", "board:8") == "rule_denied"
        await kim.ok("join", "board:7")
        await kim.ok("leave", "case:7")
        assert (await kim.event("left"))[0] == {"room": "board:7", "code": "rule_denied"}
        assert await kim.denied("publish", "board:7", "result", 1) == "not_a_member"


async def test_leaving_is_answered_also_by_whoever_is_not_in(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann = await chat(js, shared, corp.token("ann", scope=CHAT))
        assert await ann.ok("leave", "lobby") == {"ok": True}


# --- publishing -----------------------------------------------------------------------------------------


async def test_the_payload_schema_decides_what_is_a_message(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann = await chat(js, shared, corp.token("ann", scope=CHAT))
        await ann.ok("join", "lobby")
        for wrong in ({}, {"text": ""}, {"text": 1}, {"text": "x", "more": 1}, "text", None, [], b"bytes"):
            assert await ann.denied("publish", "lobby", "message", wrong) == "invalid_payload", wrong
        assert await ann.denied("publish", "lobby", "message") == "invalid_payload", "missing data is null"
        await ann.ok("publish", "lobby", "message", {"text": "x"})


@WIRE
async def test_binary_comes_through_as_binary(shared: Daemon, corp: Issuer, transports: list[str]) -> None:
    data = {
        "file": bytes(range(256)) * 20,
        "parts": [b"", b"\x00"],
        "name": "ünïcode",
        "n": 1.5,
        "none": None,
    }
    async with js_client() as js:
        ann = await chat(js, shared, corp.token("ann", scope=CHAT), transports=transports)
        bob = await chat(js, shared, corp.token("bob", scope=CHAT), transports=transports)
        for socket in (ann, bob):
            await socket.ok("join", "lobby")
        await ann.ok("publish", "lobby", "blob", data)
        received, meta = await bob.event("blob")
        assert received == data
        assert meta["from"] == {"user": "ann"}


async def test_publishing_asks_scope_event_and_size(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        bob = await chat(js, shared, corp.token("bob", scope="chat:connect"))
        await bob.ok("join", "lobby")
        assert await bob.denied("publish", "lobby", "message", {"text": "x"}) == "scope_missing"
        assert await bob.denied("publish", "lobby", "result", 1) == "unknown_event"
        assert await bob.denied("publish", "lobby", "joined", {}) == "unknown_event"
        assert await bob.denied("publish", None, "message", "x") == "unknown_event"
        ann = await chat(js, shared, corp.token("ann", scope=CHAT))
        await ann.ok("join", "lobby")
        assert await ann.denied("publish", "lobby", "blob", "x" * 65536) == "too_large"
        await ann.ok("publish", "lobby", "blob", "x" * 60000)


async def test_the_namespace_itself_is_a_chat(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        reader = await (await js.manager(shared.url)).socket("/")
        writer = await (await js.manager(shared.url)).socket("/", corp.token("ann"))
        await writer.ok("publish", None, "message", ["hello", "all"])
        data, meta = await reader.event("message")
        assert data == ["hello", "all"]
        assert meta["room"] is None
        assert not writer.saw("message")


# --- requests -------------------------------------------------------------------------------------------


async def test_what_is_no_request_is_unknown_and_what_is_malformed_invalid(
    shared: Daemon, corp: Issuer
) -> None:
    async with js_client() as js:
        ann = await chat(js, shared, corp.token("ann", scope=CHAT))
        for event in ("message", "hello", "error"):
            assert await ann.denied(event, {"text": "x"}) == "unknown_event"
        for request in (
            ["join"],
            ["join", 7],
            ["join", None],
            ["join", "lobby", {"surprise": 1}],
            ["join", "lobby", {}, 1],
            ["leave"],
            ["leave", "lobby", 1],
            ["publish"],
            ["publish", "lobby"],
            ["publish", "lobby", 7, {}],
            ["publish", "lobby", "message", {"text": "x"}, "surplus"],
        ):
            assert await ann.denied(*request) == "invalid_payload", request
        await ann.ok("join", "lobby")


async def test_a_refused_request_without_ack_leaves_the_connection(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann = await chat(js, shared, corp.token("ann", scope=CHAT))
        await ann.send("join", "nowhere")
        await ann.send("nonsense")
        await ann.send("join", "mirror")
        await ann.ok("publish", "mirror", "message", 1)
        assert (await ann.event("message"))[0] == 1


@pytest.mark.parametrize("event", ["connect", "disconnect", "disconnecting", "newListener", "connect_error"])
async def test_an_event_reserved_by_socket_io_closes_the_connection(
    shared: Daemon, corp: Issuer, event: str
) -> None:
    async with js_client() as js:
        manager = await js.manager(shared.url, transports=["websocket"])
        ann = await manager.socket("/chat", corp.token("ann", scope=CHAT))
        await manager.raw(f'2/chat,["{event}"]')
        assert await ann.disconnected() == "transport close"


async def test_a_dropped_connection_leaves_nothing_behind(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        await empty(shared)
        for transports in (["websocket"], ["polling"]):
            manager = await js.manager(shared.url, transports=transports)
            ann = await manager.socket("/chat", corp.token("ann", scope=CHAT))
            await ann.ok("join", "lobby")
            status = shared.status()
            assert (status["connections"], status["sessions"], status["rooms"]) == (1, 1, 2)
            assert status["namespaces"]["/chat"] == {"sessions": 1, "rooms": 2}
            await manager.drop()
            await empty(shared)
