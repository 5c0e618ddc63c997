"""Restarts of the socket-activated unit: nobody who connects meanwhile is refused or reset."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.rawclient import RawClient
from tests.support.systemd import UserManager
from tests.support.timing import eventually, seconds
from tests.systemd.service import SERVICE, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HELD = 1000
"""Clients that are connected while the daemon restarts, and that come back."""

PROBES = 8
"""Others that come and go meanwhile, one attempt after another."""


class Crowd:
    """Clients that hold on and others that come and go; `outcomes` counts what became of every attempt."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.outcomes: Counter[str] = Counter()
        self.slowest = 0.0
        self.back = 0
        self._over = asyncio.Event()

    async def attempt(self) -> RawClient | None:
        """Try once to get a session."""
        started = time.monotonic()
        try:
            client = await RawClient.dial(self.service.url)
            await client.until(lambda: client.handshake or client.closed, "the Engine.IO handshake")
        except OSError as error:
            self.outcomes[type(error).__name__] += 1
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - started)
        self.outcomes["ok" if client.handshake else f"status {client.status}"] += 1
        return client if client.handshake else None

    async def hold(self) -> None:
        """Be connected, and come back whenever that ends."""
        while not self._over.is_set():
            client = await self.attempt()
            if client is None:
                return
            self.back += 1
            over = asyncio.ensure_future(self._over.wait())
            ended = asyncio.ensure_future(self._ended(client))
            await asyncio.wait({over, ended}, return_when=asyncio.FIRST_COMPLETED)
            for task in (over, ended):
                task.cancel()
            await asyncio.gather(over, ended, return_exceptions=True)
            if not client.closed:
                await client.close()

    async def _ended(self, client: RawClient) -> None:
        while not client.closed:
            client._changed.clear()
            await client._changed.wait()

    async def probe(self) -> None:
        """Come and go."""
        while not self._over.is_set():
            client = await self.attempt()
            if client is not None:
                await client.close()
            await asyncio.sleep(0.01)

    async def disperse(self) -> None:
        self._over.set()


async def test_no_client_is_refused_or_reset_while_it_restarts(tmp_path: Path, systemd: UserManager) -> None:
    service = Service(tmp_path, systemd, passed=True)
    await asyncio.to_thread(service.start)
    crowd = Crowd(service)
    async with asyncio.TaskGroup() as group:
        for _ in range(HELD):
            group.create_task(crowd.hold())
        await eventually(lambda: crowd.back >= HELD, "all of them connected", limit=60)
        for _ in range(PROBES):
            group.create_task(crowd.probe())
        for _ in range(2):
            before, pid = crowd.back, service.show("MainPID")
            await asyncio.to_thread(systemd.do, "restart", SERVICE)
            assert service.show("MainPID") != pid
            await eventually(lambda: crowd.back >= before + HELD, "all of them back", limit=60)  # noqa: B023 - used at once
        await crowd.disperse()
    assert set(crowd.outcomes) == {"ok"}, (crowd.outcomes, service.log.read_text()[-3000:])
    assert crowd.outcomes["ok"] > 3 * HELD
    assert crowd.slowest < seconds(30)
    assert "Traceback" not in service.log.read_text()
