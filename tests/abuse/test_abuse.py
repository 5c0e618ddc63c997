"""Every attack that is withstood, against a daemon with well-behaved clients beside: see `trial.Outcome.faults`."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.abuse import trial
from tests.abuse.catalogue import ATTACKS

pytestmark = pytest.mark.usefixtures("uncovered")

ATTEMPTS = 3
"""What else the machine does can only make others wait longer: one attempt without a fault shows the code."""


def _parametrize() -> list[Any]:
    """Return the attacks; the first of each kind is tried with all tests, the others by `pytest -m abuse` alone."""
    seen: set[str] = set()
    parameters = []
    for attack in ATTACKS.values():
        marks = [pytest.mark.abuse] if attack.kind in seen else []
        parameters.append(pytest.param(attack.name, marks=marks))
        seen.add(attack.kind)
    return parameters


@pytest.fixture
def _alone() -> Iterator[None]:
    """One attack at a time, whatever runs beside: each wants the machine for itself."""
    with Path(tempfile.gettempdir(), "compartmentd-abuse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("_alone")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", _parametrize())
def test_it_is_of_no_use(name: str, tmp_path: Path) -> None:
    for attempt in range(ATTEMPTS):
        (tmp_path / str(attempt)).mkdir()
        outcome = trial.run(ATTACKS[name], tmp_path / str(attempt))
        if not outcome.faults():
            return
    assert outcome.faults() == [], outcome.refused
