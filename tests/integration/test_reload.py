"""Reload as the operator does it, and as those who are connected see it."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration import world
from tests.integration.world import CHAT
from tests.support.daemon import ADMIN, Daemon, command
from tests.support.jsclient import JsSocket, js_client
from tests.support.mint import Issuer
from tests.support.timing import eventually

LOCATED = re.compile(r"compartments\.yaml:(\d+):(\d+): error: ")


async def settled(daemon: Daemon, generation: int) -> dict[str, Any]:
    """Wait until the daemon has reached a generation, for ways to reload that do not answer."""
    await eventually(lambda: daemon.status()["generation"] >= generation, f"generation {generation}")
    return daemon.status()


async def failed(daemon: Daemon, after: float | None) -> dict[str, Any]:
    """Wait until a reload that began after another (its time) has failed, and return it."""

    def last() -> dict[str, Any] | None:
        reload = daemon.status()["last_reload"]
        return reload if reload and not reload["ok"] and reload["at"] != after else None

    return await eventually(last, "a reload that failed")


# --- whom it reaches --------------------------------------------------------------------------------------


async def test_a_reload_evicts_one_of_two_and_the_other_notices_nothing(daemon: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann = await (await js.manager(daemon.url)).socket("/chat", corp.token("ann", scope=CHAT))
        manager = await js.manager(daemon.url)
        bob = await manager.socket("/chat", corp.token("bob", scope=CHAT))
        everyone = await manager.socket("/")
        for socket in (ann, bob):
            await socket.ok("join", "lobby")
        daemon.change("namespaces", "/chat", "connect", to={"claim": "sub", "one_of": ["ann", "kim"]})
        done = await asyncio.to_thread(daemon.reload)
        assert done["ok"]
        assert done["changed"]
        assert done["evicted"] == {"sessions": 1, "memberships": 2}, "bob's lobby and user:bob"
        assert (await bob.event("closing"))[0] == {"code": "policy_changed", "retry": False}
        assert await bob.disconnected() == "io server disconnect"
        await ann.ok("publish", "lobby", "message", {"text": "are we alone?"})
        assert (await manager.refusal("/chat", corp.token("bob", scope=CHAT)))["data"][
            "code"
        ] == "rule_denied"
        assert not bob.saw("message")
        assert not any(seen.kind == "disconnect" for seen in ann.unread + everyone.unread)
        assert await everyone.denied("publish", None, "message", "x") == "token_missing", "still connected"


async def test_a_reload_ends_single_memberships(daemon: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann = await (await js.manager(daemon.url)).socket("/chat", corp.token("ann", scope=CHAT, clearance=9))
        for room in ("lobby", "mirror", "case:1", "board:1"):
            await ann.ok("join", room)
        daemon.change(
            "namespaces", "/chat", "rooms", "case:{case}", "join", to={"claim": "clearance", "at_least": 10}
        )
        daemon.change("namespaces", "/chat", "rooms", "mirror", to=...)
        done = await asyncio.to_thread(daemon.reload)
        assert done["evicted"] == {"sessions": 0, "memberships": 3}
        left = [(await ann.event("left"))[0] for _ in range(3)]
        assert {place["room"] for place in left} == {"mirror", "case:1", "board:1"}
        assert {place["code"] for place in left if place["room"] != "board:1"} == {"policy_changed"}
        assert await ann.denied("publish", "case:1", "message", 1) == "not_a_member"
        assert await ann.denied("join", "mirror") == "unknown_room"
        await ann.ok("publish", "lobby", "message", {"text": "still here"})


async def test_a_reload_brings_new_rooms_to_whoever_is_connected(daemon: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann = await (await js.manager(daemon.url)).socket(
            "/chat", corp.token("ann", scope=CHAT, squads=["one"])
        )
        await ann.event("joined")
        assert await ann.denied("join", "squad:one") == "unknown_room"
        daemon.change(
            "namespaces",
            "/chat",
            "rooms",
            "squad:{squad}",
            to={
                "join": {"claim": "squads", "contains": "{squad}"},
                "auto_join": {"squad": "squads"},
                "publish": "members",
                "events": ["message"],
            },
        )
        await asyncio.to_thread(daemon.reload)
        assert (await ann.event("joined"))[0] == {"room": "squad:one"}
        await ann.ok("publish", "squad:one", "message", "hello")


async def test_capacity_and_limits_bind_the_next_join_and_evict_nobody(daemon: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        people = [
            await (await js.manager(daemon.url)).socket("/chat", corp.token(name, scope=CHAT))
            for name in "abc"
        ]
        for person in people[:2]:
            await person.ok("join", "small")
        daemon.change("namespaces", "/chat", "rooms", "small", "capacity", to=1)
        assert (await asyncio.to_thread(daemon.reload))["evicted"] == {"sessions": 0, "memberships": 0}
        await people[0].ok("publish", "small", "message", 1)
        assert (await people[1].event("message"))[0] == 1
        assert await people[2].denied("join", "small") == "room_full"


async def test_a_removed_namespace_is_gone_at_once(daemon: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        manager = await js.manager(daemon.url)
        root = await manager.socket("/staff", corp.token("root", scope="staff"))
        everyone = await manager.socket("/")
        daemon.change("namespaces", "/staff", to=...)
        await asyncio.to_thread(daemon.reload)
        assert (await root.event("closing"))[0]["code"] == "policy_changed"
        assert await root.disconnected() == "io server disconnect"
        assert (await manager.refusal("/staff", corp.token("root", scope="staff")))[
            "message"
        ] == "Invalid namespace"
        assert await everyone.denied("publish", None, "message", 1) == "token_missing"


async def test_a_replaced_key_revokes_the_sessions_that_it_verified(daemon: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        manager = await js.manager(daemon.url)
        everyone = await manager.socket("/")
        ann = await manager.socket("/chat", corp.token("ann", scope=CHAT))
        successor = Issuer("corp", key="2")
        successor.write_keys(daemon.directory)
        await asyncio.to_thread(daemon.reload)
        assert (await ann.event("closing"))[0] == {"code": "revoked", "retry": False}
        assert await ann.disconnected() == "io server disconnect"
        assert (await manager.refusal("/chat", corp.token("ann", scope=CHAT)))["data"][
            "code"
        ] == "token_invalid"
        await manager.socket("/chat", successor.token("ann", scope=CHAT))
        assert await everyone.denied("publish", None, "message", 1) == "token_missing"


# --- what the operator sees -------------------------------------------------------------------------------


def test_the_reload_command_answers_when_it_is_done(daemon: Daemon) -> None:
    before = daemon.status()
    nothing = daemon.run("reload", "--format", "json")
    assert nothing.code == 0
    assert (nothing.json["ok"], nothing.json["changed"]) == (True, False)
    assert (nothing.json["generation"], nothing.json["digest"]) == (before["generation"], before["digest"])
    daemon.change("namespaces", "/more", to={"connect": "public"})
    text = daemon.run("reload")
    assert text.code == 0
    after = daemon.status()
    assert after["generation"] == before["generation"] + 1
    assert after["digest"] != before["digest"]
    assert "/more" in after["namespaces"]
    assert str(after["generation"]) in text.out
    assert after["last_reload"]["ok"] is True
    assert after["digest"] in daemon.log, "each generation is logged with its digest"


def test_a_bad_file_changes_nothing_and_says_where(daemon: Daemon) -> None:
    before = daemon.status()
    daemon.change("namespaces", "/chat", "rooms", "lobby", "jion", to="public")
    daemon.change("namespaces", "/chat", "rooms", "lobby", "join", to={"rule": "nowhere"})
    text = daemon.run("reload")
    assert text.code == 1
    problems = text.out + text.err
    assert len(LOCATED.findall(problems)) == 2, problems
    lines = daemon.config.read_text().splitlines()
    assert {lines[int(line) - 1].strip().split(":")[0] for line, _ in LOCATED.findall(problems)} == {
        "jion",
        "rule",
    }
    assert "join" in problems, "the nearest known key"
    answer = daemon.request("POST", "/admin/reload")
    assert answer.status == 422
    assert (answer.json["ok"], answer.json["digest"]) == (False, before["digest"])
    assert {problem["severity"] for problem in answer.json["problems"]} == {"error"}
    now = daemon.status()
    assert (now["generation"], now["digest"]) == (before["generation"], before["digest"])
    assert now["last_reload"]["ok"] is False
    assert len(now["last_reload"]["problems"]) == 2
    daemon.write("")
    assert daemon.run("reload").code == 1
    daemon.config.unlink()
    assert daemon.run("reload").code == 1
    assert daemon.get("/readyz").status == 200


@pytest.mark.parametrize(
    ("key", "value"),
    [("listen", [f"{ADMIN}:0"]), ("path", "/elsewhere/")],
)
def test_what_needs_a_restart_is_refused_and_named(daemon: Daemon, key: str, value: Any) -> None:
    daemon.change("server", key, to=value)
    finished = daemon.run("reload")
    assert finished.code == 1
    said = finished.out + finished.err
    assert key in said
    assert "restart" in said


def test_posting_reload_answers_when_done(daemon: Daemon) -> None:
    daemon.change("namespaces", "/more", to={"connect": "public"})
    answer = daemon.request("POST", "/admin/reload")
    assert answer.status == 200
    assert set(answer.json) == {"ok", "changed", "generation", "digest", "judged", "evicted", "problems"}
    assert answer.json["evicted"] == {"sessions": 0, "memberships": 0}


def test_status_is_one_answer_in_three_forms(daemon: Daemon) -> None:
    status = daemon.status()
    keys = {
        "version",
        "generation",
        "digest",
        "started",
        "last_reload",
        "connections",
        "sessions",
        "rooms",
        "namespaces",
    }
    assert keys <= set(status)
    assert set(status["namespaces"]) == {"/", "/chat", "/staff"}
    as_json = daemon.run("status", "--format", "json")
    assert as_json.code == 0
    assert set(as_json.json) == set(status)
    as_text = daemon.run("status")
    assert as_text.code == 0
    assert "/chat" in as_text.out
    by_file = command("status", "-c", str(daemon.config), "--format", "json")
    assert by_file.json["digest"] == status["digest"], "the file says where the socket is"


def test_commands_say_when_no_daemon_is_there(tmp_path: Path) -> None:
    for name in ("reload", "status", "admin-token"):
        finished = command(name, "--socket", str(tmp_path / "nobody.sock"))
        assert finished.code == 3, name
        assert "nobody.sock" in finished.err


# --- what sets it off -------------------------------------------------------------------------------------


async def test_hup_reloads(daemon: Daemon) -> None:
    before = daemon.status()
    daemon.change("namespaces", "/more", to={"connect": "public"})
    daemon.signal(signal.SIGHUP)
    assert "/more" in (await settled(daemon, before["generation"] + 1))["namespaces"]
    daemon.write("version: 2\n")
    daemon.signal(signal.SIGHUP)
    problems = (await failed(daemon, None))["problems"]
    assert {(problem["line"], problem["severity"]) for problem in problems} == {(1, "error")}


def _rename(path: Path, text: str) -> None:
    written = path.with_name("written")
    written.write_text(text)
    written.rename(path)


def _in_place(path: Path, text: str) -> None:
    path.write_text(text)


def _removed_and_back(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("write", [_rename, _in_place, _removed_and_back])
async def test_a_watched_file_reloads_by_itself(
    tmp_path: Path, corp: Issuer, write: Callable[[Path, str], None]
) -> None:
    settings = world.settings() | {"server": {"watch": True}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        for name in ("/one", "/two", "/three"):
            generation = daemon.status()["generation"]
            daemon.settings["namespaces"][name] = {"connect": "public"}
            write(daemon.config, daemon.render(daemon.settings))
            assert name in (await settled(daemon, generation + 1))["namespaces"]


async def test_a_watched_schema_include_and_symlink_reload_too(tmp_path: Path, corp: Issuer) -> None:
    settings = world.settings() | {"server": {"watch": True}, "include": ["parts/*.yaml"]}
    release = tmp_path / "release-1"
    release.mkdir()
    (release / "one.yaml").write_text("namespaces: {/one: {connect: public}}\n")
    (tmp_path / "parts").symlink_to(release)
    with world.daemon(tmp_path, corp, settings) as daemon:
        start = daemon.status()
        assert "/one" in start["namespaces"]
        (release / "two.yaml").write_text("namespaces: {/two: {connect: public}}\n")
        assert "/two" in (await settled(daemon, start["generation"] + 1))["namespaces"]
        shutil.copytree(release, tmp_path / "release-2")
        (tmp_path / "release-2/one.yaml").write_text("namespaces: {/three: {connect: public}}\n")
        (tmp_path / "next").symlink_to(tmp_path / "release-2")
        (tmp_path / "next").replace(tmp_path / "parts")
        names = (await settled(daemon, start["generation"] + 2))["namespaces"]
        assert {"/two", "/three"} <= set(names)
        assert "/one" not in names
        (tmp_path / "message.schema.json").write_text('{"type": "string"}')
        await settled(daemon, start["generation"] + 3)
        async with js_client() as js:
            ann = await (await js.manager(daemon.url)).socket("/chat", corp.token("ann", scope=CHAT))
            await ann.ok("join", "lobby")
            await ann.ok("publish", "lobby", "message", "a string now")


async def test_keys_are_followed_also_where_the_file_is_not_watched(daemon: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        ann: JsSocket = await (await js.manager(daemon.url)).socket("/chat", corp.token("ann", scope=CHAT))
        successor = Issuer("corp", key="2")
        _rename(daemon.directory / corp.file, successor.jwks())
        assert (await ann.event("closing"))[0]["code"] == "revoked"
        await (await js.manager(daemon.url)).socket("/chat", successor.token("ann", scope=CHAT))
