"""Every target holds for its corpus, findings of the past included, and for a few changes of it."""

from __future__ import annotations

import random

import pytest

from compartmentd.document import yamldoc
from compartmentd.policy.decide import _Case
from compartmentd.policy.rules import comparisons
from compartmentd.policy.templates import matching, overlap, pattern
from compartmentd.protocol import forwarded, http1, multiplex, socketio, websocket
from compartmentd.tokens import cache, signing, verify
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import CORPUS, TARGETS, list_seeds

MUTATIONS = 60


def test_every_target_has_seeds_and_every_seed_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(len(list(list_seeds(name))) >= 3 for name in TARGETS)


@pytest.mark.parametrize(
    ("name", "seed"), [(name, path.name) for name in TARGETS for path in list_seeds(name)]
)
def test_a_target_holds_for_its_corpus(name: str, seed: str) -> None:
    TARGETS[name]((CORPUS / name / seed).read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_changes_of_its_corpus(name: str) -> None:
    seeds = [path.read_bytes() for path in list_seeds(name)]
    source = random.Random(name)
    for _ in range(MUTATIONS):
        data = mutate(seeds, source, 1024)
        try:
            TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"{name} fails for {data!r}") from error


def runs_into(name: str) -> bool:
    """Return whether the target fails for its corpus, or for changes of it."""
    seeds = [path.read_bytes() for path in list_seeds(name)]
    source = random.Random(1)
    try:
        for data in [*seeds, *(mutate(seeds, source, 1024) for _ in range(300))]:
            TARGETS[name](data)
    except Exception:  # noqa: BLE001 - a finding is any exception
        return True
    return False


PLANTED = [
    ("socketio_packet", socketio, "MAX_ATTACHMENTS", 11),
    ("socketio_packet", socketio, "_MAX_ACK", 1 << 62),
    ("websocket_frames", websocket, "is_close_code", lambda _: True),
    ("connection", multiplex, "_NO_OTHERS", {b"/a": None}),
    ("http_head", http1, "_parse_length", lambda values: int(values[-1][:1] or 0)),
    ("forwarded", forwarded, "_parse_address", lambda _: None),
    ("yaml_text", yamldoc, "resolve_scalar", lambda text: text.strip("x")),
    ("token_claims", verify, "read_subject", lambda claims, _: str(claims.get("sub"))),
    ("token_claims", verify, "compute_end", lambda claims, _: claims["exp"] + 1.0),
    ("token_claims", signing, "verify_signature", lambda *_: True),
    ("token_claims", cache, "_is_for_use", lambda *_: True),
    ("pattern_text", pattern, "MAX_COUNT", 10),
    ("templates", overlap, "MAX_ROOM_BYTES", 2),
    ("templates", matching, "read_integer", lambda *_: 0),
    ("rules", comparisons, "get_json_type", lambda _: comparisons.JsonType.STRING),
    ("rules", _Case, "_check_expiry", lambda *_: None),
]


@pytest.mark.parametrize(
    ("name", "where", "what", "defect"), PLANTED, ids=[f"{p[0]}-{p[2]}" for p in PLANTED]
)
def test_a_target_notices_a_defect(
    monkeypatch: pytest.MonkeyPatch, name: str, where: object, what: str, defect: object
) -> None:
    assert not runs_into(name)
    monkeypatch.setattr(where, what, defect)
    assert runs_into(name)
