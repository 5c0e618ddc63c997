"""What administrators get from the daemon: status, tokens, the feed of decisions, development tokens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from compartmentd.control.admin import AdminService
from compartmentd.control.admin_access import AdminAccess, AdminTokens
from compartmentd.control.builder import build_first
from compartmentd.control.development import DevelopmentMode
from compartmentd.control.requests import RevokeRequest
from compartmentd.control.revocation import Revoker
from compartmentd.control.status import DaemonStatus, Readiness
from compartmentd.errors import ConfigInvalid, UsageError
from compartmentd.http.admin.development import DaemonDevelopment
from compartmentd.keys.development import mint_for_entry
from compartmentd.keys.files import make_missing_secrets
from compartmentd.telemetry.decision_feed import DecisionFeed
from tests.support.peer import RecordingPeer
from tests.support.reloading import ControlPlane

POLICY = """version: 1
server:
  listen: ["127.0.0.1:0"]
  admin_access: {scope: ops}
  admin_hosts: [admin.example.com]
issuers:
  corp:
    issuer: https://id.example.com
    audience: realtime
    use: [connect, admin]
    secret_file: corp.dev-key
  other:
    issuer: https://other.example.com
    audience: realtime
    secret_file: other.secret
namespaces:
  /:
    connect: {scope: chat}
    issuers: [corp]
    rooms:
      lobby: {join: authenticated}
"""


class SystemTime:
    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class FiveConnections:
    connections = 5


class Setup:
    """The daemon's parts without listeners, in development."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "compartments.yaml"
        self.path.write_text(POLICY)
        (directory / "other.secret").write_text("s" * 40)
        self.feed = DecisionFeed()
        self.plane = plane = ControlPlane.read(
            self.path, development=True, clock=SystemTime(), audit_log=self.feed
        )
        self.hub, self.reloader = plane.hub, plane.reloader
        self.readiness = Readiness()
        self.readiness.starting = False
        status = DaemonStatus(
            self.hub, self.reloader, plane.remote, server=FiveConnections(), readiness=self.readiness
        )
        access = AdminAccess(self.hub, plane.remote)
        self.status = status
        self.admin = AdminService(
            hub=self.hub,
            access=access,
            status=status,
            reloader=self.reloader,
            revoker=Revoker(self.hub, None),
            feed=self.feed,
        )

    def token(self, **claims: Any) -> str:
        minted: str = mint_for_entry(self.hub.snapshot.configuration.issuers, "corp", claims, time.time())[
            "token"
        ]
        return minted

    def connect(self, **claims: Any) -> RecordingPeer:
        peer = RecordingPeer()
        self.hub.connect(peer, "/", json.dumps({"token": self.token(**claims)}).encode())
        return peer


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


# --- status and reload --------------------------------------------------------------------------------------


async def test_status_tells_what_is_in_force(setup: Setup) -> None:
    peer = setup.connect(sub="ann", scope="chat")
    setup.hub.handle_event(peer.sessions["/"], None, b'["join","lobby"]', ())
    status = setup.admin.build_status()
    assert status["namespaces"] == {"/": {"sessions": 1, "rooms": 1}}
    assert (status["connections"], status["sessions"], status["rooms"]) == (5, 1, 1)
    assert (status["generation"], status["digest"]) == (1, setup.plane.first.digest)
    assert status["last_reload"] is None
    assert status["started"] <= time.time() * 1000
    setup.path.write_text(POLICY.replace("connect: {", "conect: {"))
    answer = await setup.admin.reload()
    assert setup.reloader.last is not None
    assert answer == setup.reloader.last.as_json()
    assert answer.keys() == {"ok", "generation", "digest", "problems"}
    last = setup.admin.build_status()["last_reload"]
    assert last["ok"] is False
    assert last["problems"][0]["line"] == 18


async def test_a_reload_answers_what_it_evicted(setup: Setup) -> None:
    peer = setup.connect(sub="ann", scope="chat")
    setup.hub.handle_event(peer.sessions["/"], None, b'["join","lobby"]', ())
    setup.path.write_text(POLICY.replace("scope: chat", "scope: other"))
    answer = await setup.admin.reload()
    assert answer == {
        "ok": True,
        "changed": True,
        "generation": 2,
        "digest": setup.hub.snapshot.digest,
        "judged": 1,
        "evicted": {"sessions": 1, "memberships": 1},
        "problems": [],
    }


async def test_a_reload_that_comes_second_tells_of_the_first(setup: Setup) -> None:
    setup.connect(sub="ann", scope="chat")
    assert (await setup.admin.reload())["taken_in"] is None, "in force since the start"
    setup.path.write_text(POLICY.replace("scope: chat", "scope: other"))
    before = time.time()
    await setup.reloader.reload("watch")
    answer = await setup.admin.reload()
    assert int(before * 1000) <= answer["taken_in"].pop("at") <= time.time() * 1000
    assert answer == {
        "ok": True,
        "changed": False,
        "generation": 2,
        "digest": setup.hub.snapshot.digest,
        "judged": 0,
        "evicted": {"sessions": 0, "memberships": 0},
        "problems": [],
        "taken_in": {
            "cause": "watch",
            "generation": 2,
            "judged": 1,
            "evicted": {"sessions": 1, "memberships": 0},
        },
    }


# --- access -------------------------------------------------------------------------------------------------


async def test_who_may_administer_over_tcp(setup: Setup) -> None:
    assert setup.admin.authorize(setup.token(sub="root", scope="ops")) is None
    refused = setup.admin.authorize(setup.token(sub="ann", scope="chat"))
    assert refused is not None
    assert refused.known
    unknown = setup.admin.authorize("nonsense")
    assert unknown is not None
    assert not unknown.known
    printed = setup.admin.issue_admin_token()
    assert setup.admin.authorize(printed["token"]) is None
    assert 14 * 60_000 < printed["expires"] - time.time() * 1000 <= 15 * 60_000
    earlier, _ = AdminTokens().issue()
    stale = setup.admin.authorize(earlier)
    assert stale is not None
    assert "restarted" in stale.message


def test_an_admin_token_ends() -> None:
    tokens = AdminTokens()
    token, _ = tokens.issue(lifetime=-1.0)
    assert not tokens.has(token)
    kept, _ = tokens.issue()
    assert tokens.has(kept)
    assert not tokens.has(kept + "x")
    assert not tokens.has("")
    assert not tokens.has("\ud800")


async def test_a_stopping_daemon_is_not_ready(setup: Setup) -> None:
    assert setup.admin.find_obstacle() is None
    setup.readiness.stopping = True
    assert setup.admin.find_obstacle()


# --- decisions ----------------------------------------------------------------------------------------------


async def test_decisions_are_read_along_with_the_lines_that_decided(setup: Setup) -> None:
    seen: list[Any] = []
    stop = setup.admin.subscribe(seen.append)
    peer = setup.connect(sub="ann", scope="chat", secret_claim="planted")
    setup.hub.handle_event(peer.sessions["/"], b"1", b'["join","nowhere"]', ())
    setup.connect(sub="bob", scope="")
    connect, join, refused = seen
    assert (connect["request"], connect["allowed"], connect["subject"]) == ("connect", True, "corp:ann")
    assert connect["lines"][0]["line"] == 18
    assert (join["request"], join["room"], join["code"]) == ("join", "nowhere", "unknown_room")
    assert (refused["request"], refused["code"], refused["allowed"]) == ("connect", "scope_missing", False)
    assert refused["reasons"][0]["parts"]
    assert all(record["generation"] == 1 and record["digest"] for record in seen)
    assert "planted" not in json.dumps(seen)
    stop()
    setup.connect(sub="ann", scope="chat")
    assert len(seen) == 3


async def test_a_reader_that_fails_harms_nobody(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    def fails(_: Any) -> None:
        raise RuntimeError("a reader's own fault")

    setup.admin.subscribe(fails)
    setup.admin.subscribe(seen.append)
    for _ in range(2):
        setup.connect(sub="ann", scope="chat")
    assert len(seen) == 2
    assert len(caplog.records) == 1  # dropped at its first failure


# --- development --------------------------------------------------------------------------------------------


async def test_tokens_are_minted_with_a_development_key_alone(setup: Setup) -> None:
    issuers = setup.hub.snapshot.configuration.issuers
    development = DaemonDevelopment(str(setup.path), setup.reloader, "http://127.0.0.1:1")
    minted = development.mint(None, {"sub": "ann"})
    claims = jwt.decode(minted["token"], options={"verify_signature": False})
    assert claims["sub"] == "ann"
    assert claims["iss"] == "https://id.example.com"
    assert minted["expires"] == claims["exp"] * 1000
    for entry in ("other", "nobody"):
        with pytest.raises(UsageError):
            mint_for_entry(issuers, entry, {"sub": "ann"}, time.time())


async def test_excerpts_are_of_configuration_files_alone(setup: Setup) -> None:
    development = DaemonDevelopment(str(setup.path), setup.reloader, "http://127.0.0.1:1")
    assert development.read_excerpt(str(setup.path), 1, 1) == ["version: 1"]
    for file in ("/etc/passwd", str(setup.path.parent / "corp.dev-key"), "compartments.yaml"):
        assert development.read_excerpt(file, 1, 1) is None


async def test_a_missing_secret_is_made_once_and_for_its_owner(setup: Setup) -> None:
    made = setup.path.parent / "corp.dev-key"
    content = made.read_bytes()
    assert made.stat().st_mode & 0o777 == 0o600
    assert make_missing_secrets(setup.hub.snapshot.configuration.issuers) == {}
    assert made.read_bytes() == content
    with pytest.raises(ConfigInvalid) as caught:
        await build_first(str(setup.path), setup.plane.remote)
    assert [problem.code for problem in caught.value.problems] == ["key.development"]


async def test_development_is_for_loopback(setup: Setup) -> None:
    for listen in ('"*:0"', '"0.0.0.0:0"', '"[::]:0"', '"192.0.2.1:0"'):
        setup.path.write_text(POLICY.replace('"127.0.0.1:0"', listen))
        with pytest.raises(UsageError, match="loopback"):
            await build_first(str(setup.path), setup.plane.remote, DevelopmentMode({}))


# --- revoke -------------------------------------------------------------------------------------------------


async def test_an_operator_revokes_and_is_told_how_many_it_ended(setup: Setup) -> None:
    ann, bob = setup.connect(sub="ann", scope="chat"), setup.connect(sub="bob", scope="chat")
    answer = await setup.admin.revoke(RevokeRequest("corp", sub="ann"))
    assert answer.keys() == {"ok", "sessions", "before", "lasting"}
    assert (answer["ok"], answer["sessions"], answer["lasting"]) == (True, 1, False)
    assert abs(answer["before"] - time.time() * 1000) < 10_000
    assert ann.sent[-2:] == [
        ("event", "/", ["closing", {"code": "revoked", "retry": False}]),
        ("disconnected", "/"),
    ]
    assert "/" in bob.sessions
    again = setup.connect(sub="ann", scope="chat", iat=int(time.time()) - 1)
    assert again.sent[0][3] == {"code": "revoked", "retry": False}


async def test_the_issuer_goes_by_either_name(setup: Setup) -> None:
    for name in ("corp", "https://id.example.com"):
        assert (await setup.admin.revoke(RevokeRequest(name, sub="ann")))["ok"]
    assert {kept.issuer for kept in setup.hub.revocations.list_all()} == {"https://id.example.com"}


@pytest.mark.parametrize(
    "given",
    [
        RevokeRequest("nobody", sub="ann"),
        RevokeRequest("corp"),
        RevokeRequest("corp", sub="ann", sid="s"),
        RevokeRequest("corp", sub=""),
        RevokeRequest("corp", jti="x" * 513),
        RevokeRequest("corp", sub="ann", before=time.time() + 36_000),
        RevokeRequest("corp", sub="ann", before=(time.time() + 36_000) * 1000),
        RevokeRequest("corp", sub="ann", before=-1),
    ],
)
async def test_what_cannot_be_revoked_is_said(setup: Setup, given: RevokeRequest) -> None:
    with pytest.raises(UsageError):
        await setup.admin.revoke(given)
    assert len(setup.hub.revocations) == 0


@pytest.mark.parametrize("unit", [1, 1000])
async def test_before_is_taken_in_milliseconds_and_as_iat_has_it(setup: Setup, unit: int) -> None:
    now = int(time.time())
    await setup.admin.revoke(RevokeRequest("corp", sub="ann", before=(now - 100) * unit))
    assert setup.connect(sub="ann", scope="chat", iat=now - 100).sent[0][0] == "refused"
    assert "/" in setup.connect(sub="ann", scope="chat", iat=now - 99).sessions


async def test_a_revoked_administrator_has_no_access(setup: Setup) -> None:
    token = setup.token(sub="root", scope="ops", jti="t1", iat=int(time.time()) - 1)
    assert setup.admin.authorize(token) is None
    await setup.admin.revoke(RevokeRequest("corp", jti="t1"))
    refused = setup.admin.authorize(token)
    assert refused is not None
    assert not refused.known
