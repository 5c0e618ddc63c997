"""The memory of a daemon, which holds secrets, gets into no core and to no other process of its user."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from compartmentd.daemon import memory_dumps
from tests.support.daemon import Daemon
from tests.support.timing import seconds

PROGRAM = """
import ctypes, resource
from compartmentd.daemon.memory_dumps import forbid_memory_dumps
PR_GET_DUMPABLE = 3
libc = ctypes.CDLL(None)
before = libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
forbid_memory_dumps()
print(before, libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0])
open("/proc/self/status").close()
"""


def test_the_kernel_writes_no_core_of_it_and_lets_nobody_attach() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0", "0"]


def test_a_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_dumps, "_PR_SET_DUMPABLE", -1)
    with pytest.raises(OSError, match="Invalid argument"):
        memory_dumps.forbid_memory_dumps()


def read_core_limit(pid: int) -> str:
    limits = Path(f"/proc/{pid}/limits").read_text()
    found = re.search(r"^Max core file size +(\S+)", limits, re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("development", [False, True])
def test_a_daemon_forbids_it_where_it_is_no_developers(tmp_path: Path, development: bool) -> None:
    """A developer attaches debuggers and profilers, and has no secrets of others."""
    arguments = ("--dev",) if development else ()
    with Daemon(tmp_path, {"namespaces": {"/": {"connect": "public"}}}, arguments=arguments) as daemon:
        assert daemon.process is not None
        mine = read_core_limit(daemon.process.pid)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        usual = read_core_limit(other.pid)
        other.communicate(b"\n", seconds(10))
    assert mine == (usual if development else "0")
