"""Large configurations: what an operator waits for, in processor time, so that a busy machine changes nothing.

`python -m tests.support.large_configuration` prints the figures.
"""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.support.large_configuration import ROOM
from tests.support.timing import seconds


def checked(path, count: int) -> float:
    rooms = "".join(ROOM.format(n=n) for n in range(count))
    head = (
        "version: 1\nrules: {r: {claim: a, equals: b}}\nnamespaces:\n  /:\n    connect: public\n    rooms:\n"
    )
    path.write_text(head + rooms)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "compartmentd", "check", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert done.stderr.startswith("fine: ")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_thousand_rules_with_the_interpreters_start(tmp_path):
    assert checked(tmp_path / "c.yaml", 150) < seconds(1)


@pytest.mark.slow
def test_ten_thousand_templates(tmp_path):
    assert checked(tmp_path / "c.yaml", 10_000) < seconds(8)
