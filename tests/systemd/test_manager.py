"""The unit under a real manager: start, reload, and the watchdog."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.support.rawclient import RawClient
from tests.support.systemd import UserManager
from tests.support.timing import eventually
from tests.systemd.service import COMMAND, SERVICE, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def service(tmp_path: Path, systemd: UserManager) -> Service:
    return Service(tmp_path, systemd)


async def clients(url: str, count: int) -> list[RawClient]:
    opened = []
    for _ in range(count):
        client = await RawClient.open(url)
        session = await client.connect()
        assert session.sid
        opened.append(client)
    return opened


async def test_it_is_started_once_it_serves_and_its_status_says_what(service: Service) -> None:
    await asyncio.to_thread(service.start)
    (client,) = await clients(service.url, 1)
    assert service.show("ActiveState") == "active"
    assert service.show("StatusText").startswith("generation 1 (")
    await client.close()
    await asyncio.to_thread(service.systemd.do, "stop", SERVICE)
    assert service.show("Result") == "success"
    assert service.show("ExecMainStatus") == "0"


def test_a_start_that_fails_is_a_failure_and_says_where(service: Service) -> None:
    service.settings["namespaces"]["/"] = {"conect": "public"}
    service.write()
    service.install()
    assert service.systemd.systemctl("start", SERVICE).returncode != 0
    assert f"{service.config}:3:" in service.log.read_text()


async def test_a_reload_of_a_bad_file_fails_says_where_and_leaves_the_clients_alone(
    service: Service,
) -> None:
    await asyncio.to_thread(service.start)
    opened = await clients(service.url, 20)
    service.settings["namespaces"]["/bad"] = {"connect": {"scop": "x"}}
    service.write()
    line = next(n for n, text in enumerate(service.config.read_text().splitlines(), 1) if "scop" in text)
    refused = await asyncio.to_thread(service.systemd.systemctl, "reload", SERVICE)
    assert refused.returncode != 0
    assert service.show("ActiveState") == "active"
    status = service.systemd.systemctl("status", SERVICE).stdout
    assert f"{service.config}:{line}:" in status, status
    assert f"{service.config}:{line}:" in service.log.read_text()
    assert [client.closed for client in opened] == [False] * len(opened)

    service.settings["namespaces"]["/bad"] = {"connect": {"scope": "x"}}
    service.write()
    await asyncio.to_thread(service.systemd.do, "reload", SERVICE)
    assert service.show("StatusText").startswith("generation 2 (")
    for client in opened:
        assert await client.call("/", "leave", "nowhere") == {"ok": True}
        await client.close()


async def test_a_process_that_hangs_is_replaced(service: Service) -> None:
    await asyncio.to_thread(service.start, "WatchdogSec=2")
    first = service.show("MainPID")
    service.kill(signal.SIGSTOP)
    started = time.monotonic()
    await eventually(
        lambda: service.show("MainPID") not in {first, "0"} and service.show("ActiveState") == "active",
        "another process in its place",
        limit=30,
    )
    assert time.monotonic() - started > 1
    assert "Fatal Python error: Aborted" in service.log.read_text(), "where it hung"
    assert int(service.show("NRestarts")) >= 1
    (client,) = await clients(service.url, 1)
    await client.close()


async def test_a_second_signal_ends_a_drain_also_while_the_sockets_are_handed_over(
    tmp_path: Path, systemd: UserManager
) -> None:
    service = Service(tmp_path, systemd, passed=True)
    service.settings["server"]["drain"] = "1h"
    service.write()
    await asyncio.to_thread(service.start)
    (client,) = await clients(service.url, 1)
    service.kill(signal.SIGTERM)
    await eventually(lambda: service.show("StatusText").startswith("draining"), "it has heard the first")
    service.kill(signal.SIGTERM)
    await client.until(lambda: client.closed, "the end")


async def test_the_unit_without_a_network_serves_whoever_comes_by_its_socket(
    tmp_path: Path, systemd: UserManager
) -> None:
    service = Service(tmp_path, systemd, passed=True, name="compartmentd-isolated")
    await asyncio.to_thread(service.start)
    (client,) = await clients(service.url, 1)
    interfaces = systemd.run("cat", f"/proc/{service.show('MainPID')}/net/dev").stdout.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    assert await client.call("/", "leave", "nowhere") == {"ok": True}
    await client.close()


async def test_an_instance_listens_at_the_port_that_it_is_named_by(
    tmp_path: Path, systemd: UserManager
) -> None:
    service = Service(tmp_path, systemd, passed=True, name="compartmentd@")
    await asyncio.to_thread(service.start)
    (client,) = await clients(service.url, 1)
    admin = systemd.runtime / f"compartmentd-{service.port}/admin.sock"
    said = systemd.run(*COMMAND.split(), "status", "--socket", str(admin))
    assert "1 connection," in said.stdout, said
    await asyncio.to_thread(systemd.do, "reload", service.unit)
    await client.close()
