"""The start of a real daemon whose keys are a provider's: it waits for them, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.keys.provider import provider
from tests.support.daemon import Answer, Daemon
from tests.support.timing import seconds

pytestmark = pytest.mark.slow


@asynccontextmanager
async def launched(directory: Path, issuers: dict[str, Any]) -> AsyncIterator[Daemon]:
    """Start a daemon, without waiting until it is ready."""
    namespace = {"connect": "authenticated", "issuers": list(issuers)}
    daemon = Daemon(directory, {"issuers": issuers, "namespaces": {"/": namespace}})
    with daemon.log_file.open("ab") as log:
        daemon.launch(log)
    try:
        yield daemon
        assert await asyncio.to_thread(daemon.stop) == 0
        daemon.assert_clean_log()
    finally:
        daemon.abandon()


async def readiness(daemon: Daemon, status: int) -> Answer:
    """Wait for this answer of `/readyz`, beside the loop that the provider runs on."""
    async with asyncio.timeout(seconds(30)):
        while True:
            try:
                answer = await asyncio.to_thread(daemon.get, "/readyz")
            except OSError:  # it does not listen yet
                answer = None
            if answer is not None and answer.status == status:
                return answer
            await asyncio.sleep(0.02)


async def test_a_start_waits_for_a_provider_that_is_late(tmp_path: Path) -> None:
    async with provider() as idp:
        issuers = {"corp": {"issuer": idp.url, "audience": "realtime"}}
        async with launched(tmp_path, issuers) as daemon:
            answer = await readiness(daemon, 503)
            assert answer.json["error"]["message"] == "the keys of remote issuers are being fetched"
            assert "compartmentd 0" not in daemon.log
            idp.publish("a", "b")
            assert (await readiness(daemon, 200)).json == {"ok": True}
            status = await asyncio.to_thread(daemon.get, "/admin/status")
            assert status.json["keys"]["corp"]["keys"] == 2


async def test_a_provider_that_is_down_is_reported_and_keeps_nobody_else_waiting_for_ever(
    tmp_path: Path,
) -> None:
    async with provider() as idp:
        idp.publish("a")
        issuers = {
            "corp": {"issuer": idp.url, "audience": "realtime"},
            "dead": {
                "issuer": "https://dead.example",
                "audience": "a",
                "jwks_url": "https://127.0.0.1:1/?s3cret",
            },
        }
        async with launched(tmp_path, issuers) as daemon:
            assert (await readiness(daemon, 200)).json == {"ok": True, "keys_unavailable": ["dead"]}
            assert "s3cret" not in daemon.log


async def test_a_daemon_that_waits_for_keys_can_be_stopped(tmp_path: Path) -> None:
    async with provider() as idp:
        issuers = {"corp": {"issuer": idp.url, "audience": "realtime"}}
        async with launched(tmp_path, issuers) as daemon:
            await readiness(daemon, 503)
            async with asyncio.timeout(seconds(7)):  # it would wait for ten
                assert await asyncio.to_thread(daemon.stop) == 0
            daemon.launch(asyncio.subprocess.DEVNULL)  # another, for `launched` to stop
            await readiness(daemon, 503)
