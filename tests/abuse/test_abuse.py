"""Every attack of the catalogue, against a daemon with well-behaved clients beside: see `trial.Outcome.faults`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.abuse import trial
from tests.abuse.catalogue import ATTACKS


@pytest.mark.slow
@pytest.mark.parametrize("name", [attack.name for attack in ATTACKS.values() if attack.is_held])
def test_it_is_of_no_use(name: str, tmp_path: Path) -> None:
    outcome = trial.run(ATTACKS[name], tmp_path)
    assert outcome.faults() == [], outcome.refused
