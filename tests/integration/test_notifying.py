"""What a service manager hears of the real daemon, from its start to its end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration import world
from tests.support.daemon import Daemon
from tests.support.manager import Manager
from tests.support.mint import Issuer


@pytest.fixture
def manager() -> Iterator[Manager]:
    made = Manager()
    yield made
    made.close()


@pytest.fixture
def told(tmp_path: Path, corp: Issuer, manager: Manager) -> Iterator[Daemon]:
    environment = manager.environ(WATCHDOG_USEC="600000")
    with world.daemon(tmp_path, corp, environment=environment) as running:
        yield running


def test_the_manager_hears_of_the_whole_life(told: Daemon, manager: Manager) -> None:
    said = manager.until("READY")
    assert "EXTEND_TIMEOUT_USEC" in said[0]
    [ready] = [datagram for datagram in said if "READY" in datagram]
    assert ready["STATUS"].startswith("generation 1 (")
    assert ready["STATUS"].endswith("): 0 connections, 0 sessions, 0 rooms")
    for _ in range(3):
        manager.until("WATCHDOG")
    assert told.stop() == 0
    [stopping] = [datagram for datagram in manager.received() if "STOPPING" in datagram]
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 1_000_000


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
def test_every_reload_is_announced_and_its_end_too(told: Daemon, manager: Manager, good: bool) -> None:
    manager.until("READY")
    if good:
        told.change("namespaces", "/more", to={"connect": "public"})
    else:
        told.write(told.render(told.settings).replace("connect: public", "conect: public", 1))
    with ThreadPoolExecutor(1) as beside:  # the queue has room for ten, which beats would fill meanwhile
        asked = beside.submit(told.run, "reload")
        heard = manager.until("READY", limit=60)
        assert (asked.result().code == 0) is good
    said = [datagram for datagram in heard + manager.received() if datagram.keys() & {"RELOADING", "READY"}]
    assert [next(iter(datagram)) for datagram in said] == ["RELOADING", "READY"]
    status = said[1]["STATUS"]
    if good:
        assert status.startswith("generation 2 (")
    else:
        assert status.startswith(f"reload refused: {told.config}:")
        assert "conect" in status
        assert "still generation 1 (" in status


def test_a_daemon_that_hangs_is_silent(told: Daemon, manager: Manager) -> None:
    manager.until("WATCHDOG")
    told.signal(signal.SIGSTOP)
    try:
        time.sleep(0.3)  # what was under way when it stopped has arrived
        manager.received()
        time.sleep(1)  # five times what lies between two beats
        assert manager.received() == []
    finally:
        told.signal(signal.SIGCONT)
    manager.until("WATCHDOG")
