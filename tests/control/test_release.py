"""What is let go of goes in small steps, and all of it goes."""

from __future__ import annotations

import sys
from pathlib import Path

from compartmentd.control.release import FREED, free, gather_parts
from compartmentd.policy.templates.dispatch import run_to_end
from tests.support.world import ISSUERS, World

COUNT = 300
TEXT = (
    ISSUERS
    + """
namespaces:
  /chat:
    connect: authenticated
    rooms:
      lobby: {join: authenticated}
"""
    + "".join(
        f"      'room{number}:{{x}}': {{join: {{claim: rooms, contains: '{{x}}'}}}}\n"
        for number in range(COUNT)
    )
)


def test_an_old_policy_goes_in_small_steps_and_leaves_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, TEXT)
    ann = world.connect("/chat", "ann", rooms=["a"])
    for number in range(0, COUNT, 7):
        assert ann.code("join", f"room{number}:a") is None  # so that its rule is made ready
    snapshot = world.hub.snapshot
    templates = snapshot.configuration.policy.namespaces[ann.session.namespace.name].rooms
    first, held = templates[0], len(templates)
    world.reload(TEXT.replace("claim: rooms", "claim: teams"))
    parts = run_to_end(gather_parts(snapshot))
    assert len(parts) > 2 * held
    del templates, snapshot, world, ann
    steps = sum(1 for _ in free(parts))
    assert parts == []
    assert steps > 2 * held // FREED
    assert sys.getrefcount(first) == 2  # this name, and the argument


def test_nothing_is_let_go_of_in_no_step() -> None:
    assert list(free([])) == []
