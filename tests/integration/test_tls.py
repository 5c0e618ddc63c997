"""TLS as an operator has it: two files, renewed while people are connected."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from tests.integration import world
from tests.integration.world import CHAT
from tests.support import certificates
from tests.support.daemon import ADMIN, Daemon, command
from tests.support.jsclient import js_client
from tests.support.mint import Issuer
from tests.support.timing import eventually


def secured(directory: Path, corp: Issuer, pair: certificates.Pair) -> Daemon:
    """Return a daemon (not started) whose TCP listeners speak TLS by this pair."""
    certificates.write(directory, pair)
    settings = world.settings() | {
        "server": {"tls": {"cert": "server.crt", "key": "server.key"}, "admin": [f"{ADMIN}:0"]}
    }
    return world.daemon(directory, corp, settings)


def health(daemon: Daemon, pair: certificates.Pair) -> int:
    """Ask the admin listener on TCP for its health, trusting this certificate alone."""
    url = daemon.admin_url.replace("http:", "https:")
    with urllib.request.urlopen(f"{url}/healthz", context=certificates.trusting(pair)) as answer:  # noqa: S310 - https, ours
        return int(answer.status)


async def test_a_stock_client_and_a_certificate_that_is_renewed(tmp_path: Path, corp: Issuer) -> None:
    pair = certificates.make()
    with secured(tmp_path, corp, pair) as daemon:
        url = daemon.url.replace("http:", "https:")
        assert health(daemon, pair) == 200
        async with js_client() as js:
            manager = await js.manager(url, ca=pair.cert.decode())
            ann = await manager.socket("/chat", corp.token("ann", scope=CHAT))
            assert (await ann.emit("join", "lobby"))["ok"]
            renewed = certificates.make(ends=60)
            expires = daemon.status()["tls"]["expires"]
            certificates.write(tmp_path, renewed)
            await eventually(lambda: daemon.status()["tls"]["expires"] > expires, "the new pair is followed")
            assert health(daemon, renewed) == 200
            other = await js.manager(url, ca=renewed.cert.decode(), transports=["websocket"])
            bob = await other.socket("/chat", corp.token("bob", scope=CHAT))
            assert (await bob.emit("join", "lobby"))["ok"]
            await bob.emit("publish", "lobby", "message", {"text": "hello"})
            assert (await ann.event("message"))[0] == {"text": "hello"}, "who was there notices nothing"
            assert daemon.status()["generation"] == 1


async def test_a_pair_that_does_not_fit_changes_nothing_and_says_so(tmp_path: Path, corp: Issuer) -> None:
    pair = certificates.make()
    with secured(tmp_path, corp, pair) as daemon:
        (tmp_path / "server.key").write_bytes(certificates.make().key)
        finished = daemon.run("reload", "--format", "json")
        assert finished.code == 1
        [problem] = json.loads(finished.out)["problems"]
        assert problem["code"] == "certificate.mismatch"
        assert problem["file"] == str(daemon.config)
        assert problem["line"] > 1
        assert health(daemon, pair) == 200
        certificates.write(tmp_path, pair)
        assert daemon.run("reload").code == 0


def test_a_pair_that_does_not_fit_is_no_start(tmp_path: Path, corp: Issuer) -> None:
    prepared = secured(tmp_path, corp, certificates.make())
    (tmp_path / "server.key").write_bytes(certificates.make().key)
    finished = command("serve", "-c", str(prepared.config))
    assert finished.code == 1
    assert "server.key" in finished.out + finished.err
    assert "Traceback" not in finished.err


async def test_a_pair_that_comes_later_makes_a_refused_change_good(tmp_path: Path, corp: Issuer) -> None:
    watching = world.settings() | {"server": {"admin": [f"{ADMIN}:0"], "watch": True}}
    with world.daemon(tmp_path, corp, watching) as daemon:
        pair = certificates.make()
        daemon.change("server", "tls", to={"cert": "server.crt", "key": "server.key"})
        await eventually(lambda: (daemon.status()["last_reload"] or {}).get("ok") is False, "it is refused")
        assert daemon.status()["tls"] is None
        certificates.write(tmp_path, pair)
        await eventually(lambda: daemon.status()["tls"], "it is in force")
        assert health(daemon, pair) == 200
