"""Secrets are planted wherever clients, operators and providers can put them, and looked for wherever we write."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.integration import world
from tests.support.daemon import ADMIN, Daemon
from tests.support.mint import Issuer
from tests.support.rawclient import Polling, RawClient

CLAIM = "planted-claim-8c1f"
PAYLOAD = "planted-payload-77ab"
QUERY = "planted-query-51de"
HEADER = "planted-header-9b20"
ENVIRONMENT = "planted-environment-3f5c-of-more-than-32-bytes"

pytestmark = pytest.mark.slow


@pytest.fixture
def hs() -> Issuer:
    return Issuer("hs", algorithm="HS256")


async def wrong(url: str, corp: Issuer, token: str) -> None:
    """Be a client that puts tokens where they do not belong, and sends bad ones."""
    client = await RawClient.open(url, query=f"&token={QUERY}", headers={"Cookie": f"session={HEADER}"})
    await client.connect("/chat", token)
    for place in (token, f"project:{token}", token.split(".")[1], f"case:{token[:120]}"):
        assert not (await client.call("/chat", "join", place))["ok"]
        assert not (await client.call("/chat", place))["ok"]
    assert (await client.call("/chat", "join", "lobby"))["ok"]
    assert (await client.call("/chat", "publish", "lobby", "blob", {"text": PAYLOAD}))["ok"]
    assert not (await client.call("/chat", "publish", "lobby", "message", {"text": 1, "x": PAYLOAD}))["ok"]
    assert not (await client.call("/chat", "refresh", token[:-5] + "AAAAA"))["ok"]
    await client.close()
    for bad in (
        token[:-5] + "AAAAA",
        corp.token("ann", aud="other", secret=CLAIM),
        corp.token("ann", secret=CLAIM, exp=1),
        QUERY,
    ):
        other = await RawClient.open(url)
        with contextlib.suppress(AssertionError):  # refused, as it should be
            await other.connect("/chat", bad)
        await other.close()
    polling = await Polling.open(url)
    await polling.http("GET", f"?EIO=4&transport=polling&sid={QUERY}&token={token}")
    await polling.http("POST", f"?EIO=4&transport=polling&sid={QUERY}&token={token}", b"4x")
    await polling.close()


def arguments(daemon: Daemon) -> str:
    """Return the arguments of the process, which everyone on the machine can read."""
    assert daemon.process is not None
    return Path(f"/proc/{daemon.process.pid}/cmdline").read_text()


def ask_admin(daemon: Daemon, token: str) -> list[str]:
    """Ask the admin listener everything, with tokens that are good for nothing; return what it says."""
    answers = []
    for path in (
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        f"/admin/status?token={QUERY}",
        f"/nothing?{QUERY}",
    ):
        request = urllib.request.Request(daemon.admin_url + path)  # noqa: S310 - our own listener
        request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own listener
                answers.append(answer.read().decode())
        except urllib.error.HTTPError as error:
            answers.append(error.read().decode())
    return answers


async def test_no_secret_is_written_anywhere(tmp_path: Path, corp: Issuer, hs: Issuer) -> None:
    settings = world.settings() | {"server": {"admin": [f"{ADMIN}:0"]}, "log": {"decisions": "all"}}
    world.write_schema(tmp_path)
    entries = {one.name: one.settings() for one in (corp, hs)}
    entries["env"] = {"issuer": "https://env", "audience": "realtime", "secret_env": "PLANTED_SECRET"}
    settings["issuers"] = entries
    for space in settings["namespaces"].values():
        space["issuers"] = list(entries)
    token = corp.token("ann", scope=world.CHAT, secret=CLAIM, email=f"{CLAIM}@example.com")
    with Daemon(tmp_path, settings, corp, hs, environment={"PLANTED_SECRET": ENVIRONMENT}) as daemon:
        await wrong(daemon.url, corp, token)
        said = ask_admin(daemon, token)
        said.append(json.dumps(daemon.status()))
        said.append(daemon.get("/metrics").body.decode())
        revoked = daemon.run("revoke", "--issuer", "corp", "--sub", "ann")
        said += [revoked.out, revoked.err]
        admin = daemon.run("admin-token", "--format", "json").json["token"]
        said += ask_admin(daemon, admin)
        (tmp_path / hs.file).write_text("short-planted-secret\n")
        refused = daemon.run("reload")
        assert refused.code == 1
        said += [refused.out, refused.err]
        said.append(arguments(daemon))
        said.append(daemon.log)
    said.append(daemon.log)
    everything = "\n".join(said)
    assert '"event": "publish_allowed"' in everything, "it was looked at what there is"
    planted = [CLAIM, PAYLOAD, QUERY, HEADER, ENVIRONMENT, "short-planted-secret", hs.secret, admin]
    planted += token.split(".")
    assert [secret for secret in planted if secret in everything] == []
