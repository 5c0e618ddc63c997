"""The daemon as a process: how it starts, who may administer it, what it never writes down."""

from __future__ import annotations

import json
import os
import signal
import stat
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.integration import world
from tests.integration.test_reload import failed
from tests.integration.world import CHAT
from tests.support.daemon import ADMIN, PUBLIC, Answer, Daemon, command
from tests.support.jsclient import js_client
from tests.support.mint import Issuer
from tests.support.rawclient import RawClient
from tests.support.timing import eventually, seconds

# --- starting and ending --------------------------------------------------------------------------------


def test_a_bad_file_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nnamespaces:\n  /x: {}\n  y: {connect: public}\n")
    finished = command("serve", "-c", "bad.yaml", cwd=tmp_path)
    assert finished.code == 1
    assert "bad.yaml:3:" in finished.out + finished.err
    assert "bad.yaml:4:" in finished.out + finished.err
    assert "Traceback" not in finished.err


def test_missing_keys_are_errors_for_serve_and_notes_for_check(tmp_path: Path, corp: Issuer) -> None:
    prepared = world.daemon(tmp_path, corp)
    (tmp_path / corp.file).unlink()
    checked = command("check", str(prepared.config), "--format", "json")
    assert checked.code == 0
    assert {problem["severity"] for problem in checked.json["problems"]} == {"note"}
    served = command("serve", "-c", str(prepared.config))
    assert served.code == 1
    assert corp.file in served.out + served.err


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path, corp: Issuer, shared: Daemon) -> None:
    settings = world.settings() | {"server": {"listen": [f"{PUBLIC}:{shared.port}"]}}
    prepared = world.daemon(tmp_path, corp, settings)
    finished = command("serve", "-c", str(prepared.config))
    assert finished.code == 2
    assert str(shared.port) in finished.err
    assert "Traceback" not in finished.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_goes_when_asked_and_says_goodbye(
    tmp_path: Path, corp: Issuer, number: signal.Signals
) -> None:
    with world.daemon(tmp_path, corp) as daemon:
        async with js_client() as js:
            manager = await js.manager(daemon.url, transports=["websocket"])
            ann = await manager.socket("/chat", corp.token("ann", scope=CHAT))
            daemon.signal(number)
            closing = (await ann.event("closing"))[0]
            assert (closing["code"], closing["retry"]) == ("unavailable", True)
            assert await ann.disconnected() == "transport close", (
                "so that a stock client comes back by itself"
            )
        assert daemon.process is not None
        await eventually(lambda: daemon.process.poll() is not None, "the process has ended")
        assert daemon.process.returncode == 0
        await eventually(lambda: not Path(daemon.admin_socket).exists(), "its socket is gone with it")


def test_dev_refuses_any_listener_but_loopback(tmp_path: Path) -> None:
    (tmp_path / "open.yaml").write_text(
        'version: 1\nserver: {listen: ["*:0"]}\nnamespaces: {/: {connect: public}}\n'
    )
    finished = command("serve", "--dev", "-c", "open.yaml", cwd=tmp_path)
    assert finished.code in {1, 2}
    assert "loopback" in finished.out + finished.err


def test_a_development_key_is_made_and_taken_in_development_only(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "issuers": {
            "dev": {
                "issuer": "https://dev.example.com",
                "audience": "realtime",
                "secret_file": "dev.key",
            },
        },
        "namespaces": {"/": {"connect": "authenticated"}},
    }
    with Daemon(tmp_path, settings, arguments=("--dev",)) as daemon:
        key = (tmp_path / "dev.key").read_bytes()
        assert key.startswith(b"compartmentd-development-")
        assert stat.S_IMODE((tmp_path / "dev.key").stat().st_mode) & 0o077 == 0
        assert key.strip().decode() not in daemon.log
    served = command("serve", "-c", str(daemon.config))
    assert served.code == 1
    assert "development" in served.out + served.err


async def test_a_reload_that_the_system_hinders_ends_nothing(tmp_path: Path) -> None:
    entry = {"issuer": "https://dev.example.com", "audience": "realtime", "secret_file": "dev.key"}
    settings: dict[str, Any] = {
        "server": {"watch": True},
        "issuers": {"dev": entry},
        "namespaces": {"/": {"connect": "authenticated"}},
    }
    with Daemon(tmp_path, settings, arguments=("--dev",)) as daemon:
        daemon.change("issuers", "dev", "secret_file", to="missing/dev.key")
        (problem,) = (await failed(daemon, None))["problems"]
        assert problem["message"].endswith("missing/dev.key`: no such file or directory")
        assert '"event":"reload_refused"' in daemon.log.replace(": ", ":")
        assert daemon.run("reload").code == 1
        (tmp_path / "missing").mkdir()
        assert daemon.run("reload").code == 0
        assert daemon.status()["generation"] == 2


def test_the_admin_socket_is_for_its_owner(daemon: Daemon) -> None:
    assert stat.S_IMODE(Path(daemon.admin_socket).stat().st_mode) == 0o660


def test_wrong_usage_is_exit_code_2() -> None:
    for arguments in (["nonsense"], ["serve", "--surprise"], ["check"], ["status", "--format", "xml"]):
        assert command(*arguments).code == 2, arguments


# --- administration over TCP ----------------------------------------------------------------------------


def ask(daemon: Daemon, method: str, path: str, token: str | None = None, **headers: str) -> Answer:
    """Ask the admin listener on TCP."""
    request = urllib.request.Request(daemon.admin_url + path, method=method, headers=headers)  # noqa: S310 - http, and ours
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=seconds(20)) as answer:  # noqa: S310 - http, and ours
            return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())


def test_over_tcp_only_an_administrator_reloads(tmp_path: Path, corp: Issuer) -> None:
    ops = Issuer("ops", audience="compartmentd")
    settings = world.settings()
    settings["server"] = {"admin_access": {"scope": "compartmentd:admin"}, "admin": [f"{ADMIN}:0"]}
    settings["issuers"] = {"corp": corp.settings(), "ops": ops.settings(use=["admin"])}
    ops.write_keys(tmp_path)
    with world.daemon(tmp_path, corp, settings) as daemon:
        assert ask(daemon, "GET", "/healthz").status == 200
        assert ask(daemon, "GET", "/readyz").status == 200
        refused = {
            "none": None,
            "nonsense": "x.y.z",
            "of another use": corp.token("ann", scope="compartmentd:admin"),
            "without the scope": ops.token("ann", scope="other"),
            "expired": ops.token("ann", scope="compartmentd:admin", lifetime=-10),
        }
        for what, token in refused.items():
            for method, path in (("POST", "/admin/reload"), ("GET", "/admin/status")):
                assert ask(daemon, method, path, token).status in {401, 403}, what
        admin = ops.token("kim", scope="compartmentd:admin")
        assert ask(daemon, "GET", "/admin/status", admin).json["generation"] == 1
        assert ask(daemon, "POST", "/admin/reload", admin).json["ok"] is True
        assert ask(daemon, "POST", "/admin/token", admin).status in {403, 404, 405}, (
            "tokens come over the socket alone"
        )
        assert ask(daemon, "GET", "/admin/status", admin, Host="evil.example.com").status in {400, 403, 421}
        printed = daemon.run("admin-token", "--format", "json")
        assert printed.code == 0
        assert ask(daemon, "GET", "/admin/status", printed.json["token"]).status == 200
        assert daemon.run("admin-token").out.strip()
        assert printed.json["token"] not in daemon.log
        assert ask(daemon, "GET", "/playground").status in {401, 403, 404}, "development alone has it"


# --- what it never writes down ----------------------------------------------------------------------------


async def test_no_token_or_claim_gets_into_the_log_by_any_way(daemon: Daemon, corp: Issuer) -> None:
    planted = "planted-7f3a"
    good = corp.token("ann", scope=CHAT, note=planted)
    bad = corp.token("ann", scope=CHAT, note=planted, aud="elsewhere")  # whose value an operator is told
    async with js_client() as js:
        manager = await js.manager(
            daemon.url,
            query={"token": good, "access_token": bad},
            extraHeaders={"Authorization": f"Basic {planted}", "Cookie": f"token={good}", "X-Token": good},
        )
        await manager.socket("/")
        for token in (bad, good + "x", planted, {"token": planted}, [good], f"Bearer {good}"):
            refused = await manager.refusal("/chat", auth={"token": token})
            assert planted not in json.dumps(refused)
        ann = await manager.socket("/chat", good)
        await ann.ok("join", "lobby")
        await ann.emit("publish", "lobby", "message", {"text": planted, "token": good})
        await ann.emit("join", "project:elsewhere")
        await ann.emit("nonsense", good, planted)
    client = await RawClient.open(daemon.url, query=f"&token={good}&note={planted}")
    client.write(f'40/chat,{{"token":"{good}"')  # cut short: a parse error that quotes nothing
    await client.until(lambda: client.closed, "the connection is closed")
    for command_line in (["reload"], ["status"]):
        daemon.run(*command_line)
    assert planted not in daemon.log
    assert good.split(".")[2] not in daemon.log


def test_logs_are_json_lines_where_nobody_reads_along(daemon: Daemon) -> None:
    daemon.change("namespaces", "/more", to={"connect": "public"})
    daemon.reload()
    lines = [json.loads(line) for line in daemon.log.splitlines()]
    assert all({"time", "level", "event", "generation", "digest"} <= set(line) for line in lines), lines
    assert lines[-1]["generation"] == 2
    assert lines[-1]["digest"] == daemon.status()["digest"]


def test_logs_are_plain_text_on_a_terminal(tmp_path: Path, corp: Issuer) -> None:
    prepared = world.daemon(tmp_path, corp)
    ours, theirs = os.openpty()
    prepared.launch(theirs)
    os.close(theirs)
    try:
        text = b""
        while b"127.0.0.1:" not in text:
            text += os.read(ours, 4096)
        assert not text.lstrip().startswith(b"{")
    finally:
        prepared.abandon()
        os.close(ours)
