"""The admin listeners, on real sockets, before an administration that remembers what it was asked."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from compartmentd.cli.admin_client import AdminClient
from compartmentd.control.requests import RevokeRequest
from compartmentd.errors import Unreachable
from compartmentd.net.bind import bind_unix
from compartmentd.sessions.listing import Query
from tests.support.administration import (
    GOOD,
    WITHOUT_RIGHTS,
    Answer,
    FakeAdministration,
    FakeDevelopment,
    ask,
    serving,
)

BEARER = {"Authorization": f"Bearer {GOOD}"}
JSON = {"Content-Type": "application/json"}
GUARDED = [
    ("POST", "/admin/reload"),
    ("GET", "/admin/status"),
    ("POST", "/admin/token"),
    ("POST", "/admin/revoke"),
    ("GET", "/admin/sessions"),
    ("GET", "/admin/rooms"),
    ("GET", "/admin/decisions"),
    ("POST", "/admin/dev/token"),
    ("GET", "/admin/dev/playground"),
    ("GET", "/admin/dev/excerpt?file=demo.yaml&line=1&end_line=1"),
]
OPEN = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/playground",
    "/playground/app.js",
    "/playground/socket.io.min.js",
]


def error(answer: Answer) -> tuple[int, str]:
    """Return what an error is told apart by, and check that a person is told, too."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json["ok"] is False
    assert answer.json["error"]["message"]
    return answer.status, answer.json["error"]["code"]


async def asked(method: str, target: str, **more: Any) -> tuple[Answer, FakeAdministration]:
    """Ask a fresh administration in development one thing over TCP."""
    administration = FakeAdministration()
    async with serving(administration, FakeDevelopment()) as port:
        return await ask(port, method, target, **more), administration


# --- who may ask --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", OPEN)
async def test_health_and_pages_are_open(target: str) -> None:
    answer, _ = await asked("GET", target)
    assert answer.status == 200


@pytest.mark.parametrize(("method", "target"), GUARDED)
async def test_everything_else_needs_a_token(method: str, target: str) -> None:
    answer, administration = await asked(method, target)
    assert error(answer) == (401, "token_missing")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert administration.asked == []


@pytest.mark.parametrize(("method", "target"), GUARDED)
@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        ("Bearer something-else", 401, "token_invalid"),
        ("Basic Z29vZDp0b2tlbg==", 401, "token_invalid"),
        ("Bearer", 401, "token_invalid"),
        (f"Bearer {WITHOUT_RIGHTS}", 403, "rule_denied"),
    ],
)
async def test_a_token_without_access_gives_none(
    method: str, target: str, authorization: str, status: int, code: str
) -> None:
    answer, administration = await asked(method, target, headers={"Authorization": authorization})
    assert error(answer) == (status, code)
    assert (
        authorization.removeprefix("Bearer").strip() not in answer.body.decode() or authorization == "Bearer"
    )
    assert administration.asked == []


@pytest.mark.parametrize("target", [*OPEN, "/admin/status", "/nowhere", "/"])
async def test_no_name_but_ours_is_answered(target: str) -> None:
    answer, _ = await asked("GET", target, headers={"Host": "rebound.example.com", **BEARER})
    assert error(answer) == (421, "unknown_host")


async def test_declared_hosts_are_answered_and_followed_as_they_change() -> None:
    administration = FakeAdministration()
    async with serving(administration) as port:
        there = {"Host": "new.example.com", **BEARER}
        assert (await ask(port, "GET", "/admin/status", headers=there)).status == 421
        administration.admin_hosts = ("new.example.com",)
        assert (await ask(port, "GET", "/admin/status", headers=there)).status == 200


@pytest.mark.parametrize(("method", "target"), GUARDED)
@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://127.0.0.1:1"])
async def test_foreign_origins_are_refused_even_with_a_token(method: str, target: str, origin: str) -> None:
    answer, administration = await asked(method, target, headers={"Origin": origin, **BEARER})
    assert error(answer) == (403, "foreign_origin")
    assert administration.asked == []


async def test_the_own_origin_may_ask() -> None:
    async with serving(FakeAdministration()) as port:
        own = {"Origin": f"http://127.0.0.1:{port}", **BEARER}
        assert (await ask(port, "POST", "/admin/reload", headers=own)).status == 200


@pytest.mark.parametrize("target", [*OPEN, "/admin/status"])
async def test_no_answer_lets_another_origin_read_it_or_frame_it_or_keep_it(target: str) -> None:
    answer, _ = await asked("GET", target, headers=BEARER)
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers


async def test_a_preflight_is_never_granted() -> None:
    answer, _ = await asked(
        "OPTIONS",
        "/admin/reload",
        headers={"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"},
    )
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


# --- what is answered ---------------------------------------------------------------------------------------


async def test_readiness_tells_the_reason() -> None:
    administration = FakeAdministration()
    async with serving(administration) as port:
        assert (await ask(port, "GET", "/readyz")).json == {"ok": True}
        administration.lacking_keys = ("other", "corp")
        answer = await ask(port, "GET", "/readyz")
        assert (answer.status, answer.json) == (200, {"ok": True, "keys_unavailable": ["corp", "other"]})
        administration.reason = "draining"
        answer = await ask(port, "GET", "/readyz")
        assert (answer.status, answer.json["error"]) == (503, {"code": "unready", "message": "draining"})
        assert (await ask(port, "GET", "/healthz")).status == 200


async def test_head_is_answered_without_a_body() -> None:
    answer, _ = await asked("HEAD", "/healthz")
    assert (answer.status, answer.body) == (200, b"")


async def test_a_reload_answers_its_outcome() -> None:
    administration = FakeAdministration()
    async with serving(administration) as port:
        done = await ask(port, "POST", "/admin/reload", headers=BEARER)
        administration.outcome = {"ok": False, "generation": 1, "digest": "d", "problems": [{"line": 3}]}
        failed = await ask(port, "POST", "/admin/reload", headers=BEARER)
    assert (done.status, done.json) == (200, {"ok": True, "changed": True, "generation": 2})
    assert (failed.status, failed.json) == (422, administration.outcome)
    assert administration.asked == ["reload", "reload"]


async def test_the_status_is_answered_as_it_is() -> None:
    answer, administration = await asked("GET", "/admin/status", headers=BEARER)
    assert answer.json == administration.build_status()


async def test_a_token_cannot_prolong_itself() -> None:
    answer, administration = await asked("POST", "/admin/token", headers=BEARER)
    assert error(answer) == (403, "socket_only")
    assert administration.asked == []


@pytest.mark.parametrize("target", ["/admin/reload", "/admin/dev/token"])
@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_body"),
        (b"[]", "application/json", 400, "invalid_body"),
        (b"null", "application/json", 400, "invalid_body"),
        (b'{"a": NaN}', "application/json", 400, "invalid_body"),
        (b'{"a": "\xff"}', "application/json", 400, "invalid_body"),
        (b"[" * 60_000, "application/json", 400, "invalid_body"),
        (b'{"a":' * 10_000, "application/json", 400, "invalid_body"),
        (b'{"surplus": 1}', "application/json", 400, "invalid_body"),
        (b"{}", "text/plain", 415, "unsupported_type"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_type"),
        (b"{}", "application/jsonx", 415, "unsupported_type"),
        (b" " * (64 * 1024 + 1), "application/json", 413, "too_large"),
    ],
)
async def test_bodies_of_another_form_are_refused(
    target: str, body: bytes, kind: str, status: int, code: str
) -> None:
    answer, administration = await asked("POST", target, headers={**BEARER, "Content-Type": kind}, body=body)
    assert error(answer) == (status, code)
    assert administration.asked == []


async def test_a_body_that_is_larger_than_any_is_not_read() -> None:
    async with serving(FakeAdministration()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /admin/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()


@pytest.mark.parametrize(
    "target", ["/admin", "/admin/", "/metrics/", "/admin/plan", "/healthz/", "/playgroundx"]
)
async def test_what_there_is_not_is_not_found(target: str) -> None:
    answer, _ = await asked("GET", target, headers=BEARER)
    assert error(answer) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [("GET", "/admin/reload", "POST"), ("POST", "/admin/status", "GET"), ("PUT", "/healthz", "GET, HEAD")],
)
async def test_other_methods_are_not_allowed(method: str, target: str, allowed: str) -> None:
    answer, administration = await asked(method, target, headers=BEARER)
    assert error(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allowed
    assert administration.asked == []


async def test_what_goes_wrong_inside_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    administration = FakeAdministration()
    administration.outcome = {}  # breaks the handler, which reads `ok`
    async with serving(administration) as port:
        answer = await ask(port, "POST", "/admin/reload?secret=1", headers=BEARER)
    assert error(answer) == (500, "failed")
    assert "KeyError" not in answer.body.decode()
    assert "POST /admin/reload failed" in caplog.text


async def test_no_query_and_no_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(FakeAdministration()) as port:
        for target in (
            "/admin/status?token=hidden",
            "/nowhere?token=hidden",
            "/admin/dev/excerpt?file=hidden",
        ):
            await ask(port, "GET", target, headers=BEARER)
    assert "GET /admin/status 200" in caplog.text
    assert "hidden" not in caplog.text
    assert GOOD not in caplog.text


# --- development --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target"),
    [entry for entry in GUARDED if "/dev/" in entry[1]] + [("GET", "/playground"), ("GET", "/")],
)
async def test_without_development_there_is_no_playground(method: str, target: str) -> None:
    async with serving(FakeAdministration()) as port:
        assert error(await ask(port, method, target, headers=BEARER)) == (404, "not_found")


async def test_in_development_the_front_leads_to_the_playground() -> None:
    answer, _ = await asked("GET", "/")
    assert (answer.status, answer.headers["location"]) == (302, "/playground")


async def test_the_page_may_talk_to_the_public_listener_and_run_only_its_own_scripts() -> None:
    answer, _ = await asked("GET", "/playground")
    policy = answer.headers["content-security-policy"].split("; ")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "connect-src 'self' http://127.0.0.1:8000 ws://127.0.0.1:8000" in policy
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)


@pytest.mark.parametrize(
    "name", ["..", "README.md", "LICENSE", "nothing.js", "%2e%2e%2fadmin%2fpages.py", "a/b.js"]
)
async def test_only_the_files_of_the_page_are_served(name: str) -> None:
    answer, _ = await asked("GET", f"/playground/{name}")
    assert error(answer) == (404, "not_found")


async def test_a_development_token_is_minted_for_claims() -> None:
    answer, _ = await asked(
        "POST", "/admin/dev/token", headers={**BEARER, **JSON}, body=b'{"claims": {"sub": "ann"}}'
    )
    assert answer.json == {"token": "minted for ann", "expires": 2}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_body"),
        (b"{}", 400, "invalid_body"),
        (b'{"claims": []}', 400, "invalid_body"),
        (b'{"claims": {}, "entry": 1}', 400, "invalid_body"),
        (b'{"claims": {}, "more": 1}', 400, "invalid_body"),
        (b'{"claims": {"sub": "ann"}, "entry": "corp"}', 422, "not_minted"),
    ],
)
async def test_minting_refuses_what_it_cannot_mint(body: bytes, status: int, code: str) -> None:
    answer, _ = await asked("POST", "/admin/dev/token", headers={**BEARER, **JSON}, body=body)
    assert error(answer) == (status, code)


async def test_the_page_is_told_of_the_configuration() -> None:
    answer, _ = await asked("GET", "/admin/dev/playground", headers=BEARER)
    assert answer.json == FakeDevelopment().describe_playground()


async def test_an_excerpt_is_of_a_configuration_file() -> None:
    answer, _ = await asked("GET", "/admin/dev/excerpt?file=demo.yaml&line=2&end_line=3", headers=BEARER)
    assert answer.json == {"file": "demo.yaml", "line": 2, "lines": ["two", "three"]}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("file=/etc/passwd&line=1&end_line=1", 404),
        ("file=demo.yaml&line=0&end_line=1", 400),
        ("file=demo.yaml&line=2&end_line=1", 400),
        ("file=demo.yaml&line=1&end_line=201", 400),
        ("file=demo.yaml&line=x&end_line=1", 400),
        ("file=demo.yaml&line=-1&end_line=1", 400),
        ("file=demo.yaml&line=%C2%B2&end_line=%C2%B2", 400),
        ("file=demo.yaml&line=1", 400),
        ("line=1&end_line=1", 404),
        ("", 400),
    ],
)
async def test_an_excerpt_is_of_nothing_else(query: str, status: int) -> None:
    answer, _ = await asked("GET", f"/admin/dev/excerpt?{query}", headers=BEARER)
    assert error(answer)[0] == status


# --- the unix socket, and the command line's client ---------------------------------------------------------


async def test_peers_of_the_socket_are_administrators(tmp_path: Path) -> None:
    administration = FakeAdministration()
    path = str(tmp_path / "admin.sock")
    client = AdminClient(path)
    async with serving(administration, extra=[bind_unix(path)]):
        status = await asyncio.to_thread(client.request, "GET", "/admin/status")
        token = await asyncio.to_thread(client.request, "POST", "/admin/token")
        missing = await asyncio.to_thread(client.request, "GET", "/nowhere")
        surplus = await asyncio.to_thread(client.request, "POST", "/admin/reload", {"surplus": 1})
    assert status == (200, administration.build_status())
    assert token == (200, {"token": "fresh", "expires": 1})
    assert missing[0] == 404
    assert (surplus[0], surplus[1]["error"]["code"]) == (400, "invalid_body")
    assert administration.asked == ["admin_token"]


async def test_a_missing_socket_is_unreachable(tmp_path: Path) -> None:
    path = str(tmp_path / "admin.sock")
    with pytest.raises(Unreachable, match="there is no such socket") as raised:
        AdminClient(path).request("GET", "/admin/status")
    assert raised.value.path == path


def test_a_dead_socket_is_unreachable(tmp_path: Path) -> None:
    path = str(tmp_path / "admin.sock")
    bind_unix(path).close()
    with pytest.raises(Unreachable, match="nothing listens there any more"):
        AdminClient(path).request("GET", "/admin/status")


async def test_a_silent_socket_is_unreachable(tmp_path: Path) -> None:
    path = str(tmp_path / "admin.sock")
    with bind_unix(path), pytest.raises(Unreachable, match="no answer in time"):
        await asyncio.to_thread(AdminClient(path, timeout=0.05).request, "GET", "/admin/status")


@pytest.mark.parametrize("said", [b"220 smtp.example.com\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello", b""])
async def test_what_answers_otherwise_is_unreachable(tmp_path: Path, said: bytes) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    path = str(tmp_path / "other.sock")
    server = await asyncio.start_unix_server(speak, path)
    async with server:
        with pytest.raises(Unreachable):
            await asyncio.to_thread(AdminClient(path).request, "GET", "/admin/status")


# --- revoke -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        (b'{"issuer":"corp","sub":"ann"}', RevokeRequest("corp", sub="ann")),
        (b'{"issuer":"corp","sid":"s1","before":5000}', RevokeRequest("corp", sid="s1", before=5000.0)),
        (b'{"issuer":"corp","jti":"t1","sub":null}', RevokeRequest("corp", jti="t1")),
    ],
)
async def test_a_revocation_is_carried_out(body: bytes, request_: RevokeRequest) -> None:
    answer, administration = await asked("POST", "/admin/revoke", headers={**BEARER, **JSON}, body=body)
    assert answer.status == 200
    assert answer.json == {"ok": True, "sessions": 1, "before": 5000, "lasting": True}
    assert administration.asked == [f"revoke {request_}"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"sub":"ann"}',
        b'{"issuer":5,"sub":"ann"}',
        b'{"issuer":"corp","sub":5}',
        b'{"issuer":"corp","subject":"ann"}',
        b'{"issuer":"corp","sub":"ann","before":"now"}',
        b'{"issuer":"corp","sub":"ann","before":true}',
        b"[]",
    ],
)
async def test_a_revocation_in_another_form_is_refused(body: bytes) -> None:
    answer, administration = await asked("POST", "/admin/revoke", headers={**BEARER, **JSON}, body=body)
    assert error(answer) == (400, "invalid_body")
    assert administration.asked == []


async def test_a_revocation_that_cannot_be_is_said() -> None:
    body = b'{"issuer":"other","sub":"ann"}'
    answer, _ = await asked("POST", "/admin/revoke", headers={**BEARER, **JSON}, body=body)
    assert error(answer) == (422, "not_revoked")


async def test_a_revocation_that_is_not_kept_is_no_success() -> None:
    administration = FakeAdministration()
    administration.revoked = {
        "ok": False,
        "error": {"code": "state_not_saved", "message": "the disk is full"},
    }
    async with serving(administration) as port:
        body = b'{"issuer":"corp","sub":"ann"}'
        answer = await ask(port, "POST", "/admin/revoke", headers={**BEARER, **JSON}, body=body)
    assert error(answer) == (500, "state_not_saved")


@pytest.mark.parametrize("what", ["sessions", "rooms"])
async def test_a_list_is_selected_by_its_query(what: str) -> None:
    target = f"/admin/{what}?namespace=%2Fteam&room=a%20b&search=x&limit=7&after=%2Fteam%20s1"
    answer, administration = await asked("GET", target, headers=BEARER)
    assert answer.status == 200
    assert answer.json == {what: [], "next": None}
    (query,) = administration.asked
    assert query == f"{what} {Query(namespace='/team', room='a b', search='x', limit=7, after='/team s1')}"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=1.5",
        "rooms=a",
        "namespace=/&namespace=/",
        "token=x",
    ],
)
async def test_a_list_with_another_query_is_refused(query: str) -> None:
    answer, administration = await asked("GET", f"/admin/sessions?{query}", headers=BEARER)
    assert error(answer) == (400, "invalid_query")
    assert administration.asked == []
