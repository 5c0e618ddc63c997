"""The rotation of a secret: old and new overlap in a list, and nobody notices before the old one is removed."""

from __future__ import annotations

import json
from pathlib import Path

import jwt

from tests.support.peer import RecordingPeer
from tests.support.world import World

POLICY = """version: 1
issuers:
  corp: {issuer: "https://id.example.com", audience: realtime, secret_file: corp.secret}
namespaces:
  /: {connect: authenticated}
"""
BOTH = POLICY.replace("corp.secret}", "[corp.secret, new.secret]}")
NEW_ALONE = POLICY.replace("corp.secret}", "[new.secret]}")
NEW = "the new secret, which has at least thirty-two bytes"


def connect_with_new(world: World, sub: str) -> RecordingPeer:
    now = int(world.clock.now)
    claims = {"iss": "https://id.example.com", "aud": "realtime", "sub": sub, "iat": now, "exp": now + 3600}
    peer = RecordingPeer()
    token = jwt.encode(claims, NEW, algorithm="HS256")
    world.hub.connect(peer, "/", json.dumps({"token": token}).encode())
    return peer


def test_the_old_secrets_sessions_live_until_it_is_removed_and_no_other_ends(tmp_path: Path) -> None:
    world = World(tmp_path, POLICY, new__secret=NEW)
    old = world.connect("/", "alice")
    assert not connect_with_new(world, "bob").sessions

    assert world.reload(BOTH) == (0, 0)
    assert old.peer.sessions
    new = connect_with_new(world, "bob")
    late = world.connect("/", "carol")
    assert new.sessions

    assert world.reload(NEW_ALONE) == (2, 0)
    assert new.sessions
    for gone in (old, late):
        assert not gone.peer.sessions
        assert gone.take()[0] == ["closing", {"code": "revoked", "retry": False}]
    assert not world.try_connect("/", "alice").peer.sessions
