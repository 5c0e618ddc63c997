"""The whole server beside its model: few examples here, many with `STATEFUL_EXAMPLES=10000`."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from compartmentd.policy import autojoin
from compartmentd.policy.reconcile import _Reconciler
from compartmentd.policy.rules.conditions import _MemberOf, _Public
from compartmentd.sessions.fanout import Fanout
from compartmentd.sessions.reevaluate import Reevaluation
from tests.fuzz.machine import Server

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "15"))
SUPPRESSED = list(HealthCheck)


def test_the_server_does_what_the_model_says() -> None:
    profile = settings.get_profile("default" if EXAMPLES <= 100 else "thorough")
    run_state_machine_as_test(
        Server,
        settings=settings(
            profile, max_examples=EXAMPLES, stateful_step_count=40, suppress_health_check=SUPPRESSED
        ),
    )


def forget_waiting(_: Fanout, session: Any) -> None:
    session.unjudged = None


DEFECTS = [
    (_Reconciler, "depends_on_another", lambda *_: False),
    (Fanout, "release", forget_waiting),
    (Reevaluation, "_is_token_as_before", lambda *_: True),
    (_MemberOf, "check", _Public.check),
    (autojoin._Found, "look", lambda *_: None),
]


@pytest.mark.slow
@pytest.mark.parametrize(("where", "what", "defect"), DEFECTS, ids=[name for _, name, _ in DEFECTS])
def test_a_defect_is_found(monkeypatch: pytest.MonkeyPatch, where: Any, what: str, defect: Any) -> None:
    monkeypatch.setattr(where, what, defect)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Server,
            settings=settings(
                max_examples=60,
                stateful_step_count=40,
                phases=[Phase.generate],
                suppress_health_check=SUPPRESSED,
            ),
        )
