"""Faults of the machine around a real daemon: what is killed, full, unreadable, stopped, or told another time.

| fault | where it is tested |
|---|---|
| kill -9 at any moment of a reload; of `rollback` | here |
| kill -9 after a logout: the deny list outlasts it | tests/integration/test_logout.py |
| the compiling child is killed | here; it hangs, fails or cannot be started: tests/control/test_compile_worker.py |
| disk full: history; revocations | here; a directory that takes no file: test_last_good.py, test_revocation.py |
| a cut or damaged entry of the history | tests/storage/generations/test_store.py |
| a missing file, half a file | tests/control/test_reload.py; a loop of links, a directory in its place: here |
| a file replaced a thousand times a second | here; bursts of writes: tests/storage/watcher/test_watcher.py |
| links, volumes and directories that are swapped | tests/storage/watcher/test_watcher.py |
| the clock jumps forward and back | here; timers by the steady clock: tests/net/test_timer_wheel.py |
| provider down, late, slow or hostile | tests/keys/test_remote.py, tests/integration/test_remote_keys.py |
| no descriptor is left | here; each error of `accept`: tests/net/test_acceptor.py |
| a stopped process (SIGSTOP) | here |
| restart: ready within two seconds | here; without a refused client under systemd: tests/systemd/test_restart.py |
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from compartmentd.configuration.compiler import load
from compartmentd.storage.files import Disk
from compartmentd.storage.generations import GenerationStore
from tests.support.daemon import COMMAND, Daemon
from tests.support.mint import Issuer
from tests.support.rawclient import RawClient
from tests.support.timing import eventually, seconds

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("uncovered")]

CHAT = "/chat"
ROOT = Path(__file__).parents[2]


def settings(**more: Any) -> dict[str, Any]:
    """Return a configuration with a state directory, and a comment's worth of bytes to be changed."""
    room = {"join": "authenticated", "publish": "members", "events": ["message"]}
    return {
        "server": {"state": "state", **more},
        "namespaces": {CHAT: {"connect": "authenticated", "description": "0", "rooms": {"lobby": room}}},
    }


def variant(number: int, size: int = 0) -> dict[str, Any]:
    """Return the same configuration in another edition, of at least so many bytes."""
    made = settings()
    made["namespaces"][CHAT]["description"] = f"{number} {'x' * size}"
    return made


@pytest.fixture
def corp() -> Issuer:
    return Issuer("corp")


Enter: TypeAlias = Callable[..., Awaitable[RawClient]]


@asynccontextmanager
async def entering(daemon: Daemon, corp: Issuer) -> AsyncIterator[Enter]:
    """Give a function that lets someone into the lobby, and close everyone at the end."""
    clients: list[RawClient] = []

    async def enter(sub: str, **claims: Any) -> RawClient:
        client = await RawClient.open(daemon.url)
        clients.append(client)
        session = await client.connect(CHAT, corp.token(sub, **claims))
        assert session.sid, session.error
        assert (await client.call(CHAT, "join", "lobby"))["ok"]
        return client

    try:
        yield enter
    finally:
        for client in clients:
            await client.close()


@pytest.fixture
def daemon(tmp_path: Path, corp: Issuer) -> Iterator[Daemon]:
    (tmp_path / "state").mkdir(mode=0o700)
    with Daemon(tmp_path, settings(), corp) as running:
        yield running


async def assert_heard(speaker: RawClient, listener: RawClient, text: str) -> None:
    """Let one say something, and the other hear it."""
    assert (await speaker.call(CHAT, "publish", "lobby", "message", text))["ok"]
    await listener.until(
        lambda: any(event[:2] == ["message", text] for event in listener.sessions[CHAT].events), text
    )


# --- kill -9 ------------------------------------------------------------------------------------------------


def test_whatever_moment_of_a_reload_it_is_killed_at_it_comes_back_on_the_file(
    tmp_path: Path, corp: Issuer
) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    source, history = random.Random(1), GenerationStore(str(tmp_path / "state"))
    for number in range(12):
        daemon = Daemon(tmp_path, variant(number), corp, arguments=("--last-good",))
        try:
            daemon.start()
            daemon.write(variant(1000 + number))
            daemon.signal(signal.SIGHUP)
            time.sleep(source.uniform(0.0, 0.4))
            daemon.signal(signal.SIGKILL)
            assert daemon.process is not None
            daemon.process.wait()
        finally:
            daemon.abandon()
        for entry in history.list_entries():
            assert history.read(entry), "damaged"
    daemon = Daemon(tmp_path, variant(2000), corp, arguments=("--last-good",))
    with daemon:
        assert daemon.status()["digest"] == load(str(daemon.config), Disk()).digest
    assert list((tmp_path / "state").rglob("*.new")) == [], "half a file is left for ever"


def test_whatever_moment_of_a_rollback_it_is_killed_at_each_file_is_old_or_new_and_again_makes_it_whole(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "parts").mkdir()
    main, history = tmp_path / "c.yaml", GenerationStore(str(tmp_path / "state"))
    parts = [tmp_path / f"parts/{number}.yaml" for number in range(5)]
    editions: list[dict[Path, str]] = []
    for edition in ("old", "new"):
        texts = {part: f"rules: {{{edition}{number}: public}}\n" for number, part in enumerate(parts)}
        namespace = f"namespaces: {{/{edition}: {{connect: {{rule: {edition}0}}}}}}\n"
        texts[main] = f"version: 1\nserver: {{state: state}}\ninclude: [parts/*.yaml]\n{namespace}"
        for path, text in texts.items():
            path.write_text(text)
        loaded = load(str(main), Disk())
        assert loaded.configuration is not None, loaded.problems
        history.store(loaded.contents, len(editions) + 1.0, accepted=True)
        editions.append(texts)
    source, target = random.Random(2), load(str(main), Disk()).digest
    old = next(entry.digest for entry in history.list_entries() if entry.digest != target)
    rollback = [*COMMAND, "rollback", "-c", str(main), old, "--yes"]
    for _ in range(15):
        for path, text in editions[1].items():
            path.write_text(text)
        process = subprocess.Popen(rollback, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(source.uniform(0.25, 0.9))
        process.kill()
        process.wait()
        for path in editions[0]:
            assert path.read_text() in {edition[path] for edition in editions}, (
                f"{path} is neither old nor new"
            )
        done = subprocess.run(rollback, capture_output=True, text=True, check=False, timeout=seconds(60))
        assert done.returncode == 0, done
        assert {path: path.read_text() for path in editions[0]} == editions[0]
        assert list(tmp_path.rglob(".*.new")) == []


async def test_a_compiling_child_that_is_killed_is_a_refused_reload_and_no_more(
    daemon: Daemon, corp: Issuer
) -> None:
    async with entering(daemon, corp) as enter:
        ann = await enter("ann")
        assert daemon.process is not None
        killed = threading.Event()

        def kill_children(pid: int) -> None:
            until = time.monotonic() + seconds(20)
            while time.monotonic() < until and not killed.is_set():
                for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)
                    killed.set()

        hunter = threading.Thread(target=kill_children, args=[daemon.process.pid])
        hunter.start()
        daemon.write(variant(1))
        answer = await asyncio.to_thread(daemon.request, "POST", "/admin/reload")
        hunter.join()
        assert killed.is_set()
        assert answer.status != 200, answer
        assert not ann.closed
        daemon.reload()
        await assert_heard(ann, await enter("bob"), "still here")


# --- files -----------------------------------------------------------------------------------------------------


async def test_on_a_full_disk_it_reloads_revokes_and_says_what_it_could_not_keep(
    daemon: Daemon, corp: Issuer
) -> None:
    async with entering(daemon, corp) as enter:
        ann, bob, eve = [await enter(sub) for sub in ("ann", "bob", "eve")]
        assert daemon.process is not None
        before = len(GenerationStore(str(daemon.directory / "state")).list_entries())
        size = daemon.log_file.stat().st_size + 16 * 1024  # the log is a file, too
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        daemon.write(variant(1, size=4 * size))
        daemon.reload()
        await assert_heard(ann, bob, "reloaded on a full disk")
        await eventually(lambda: "history_not_kept" in daemon.log, "it says so")
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        finished = await asyncio.to_thread(daemon.run, "revoke", corp.url, "--sub", "eve", "--format", "json")
        resource.prlimit(
            daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        assert finished.code == 1, finished
        assert finished.json["error"]["code"] == "state_not_saved", finished
        await eve.until(lambda: eve.sessions[CHAT].ended, "the revoked one is out")
        daemon.write(variant(2))
        daemon.reload()
        kept = GenerationStore(str(daemon.directory / "state"))
        await eventually(
            lambda: len(kept.list_entries()) > before, "with room again it keeps what is in force"
        )
        await assert_heard(ann, bob, "room again")


@pytest.mark.parametrize("what", ["a loop of links", "a directory", "a broken link"])
async def test_a_file_that_cannot_be_read_changes_nothing(daemon: Daemon, corp: Issuer, what: str) -> None:
    async with entering(daemon, corp) as enter:
        ann, bob = await enter("ann"), await enter("bob")
        digest, text = daemon.status()["digest"], daemon.config.read_text()
        daemon.config.unlink()
        if what == "a directory":
            daemon.config.mkdir()
        else:
            daemon.config.symlink_to(daemon.config.name if what == "a loop of links" else "nowhere")
        finished = daemon.run("reload", "--format", "json")
        assert finished.code == 1
        assert daemon.config.name in finished.out
        assert daemon.status()["digest"] == digest
        await assert_heard(ann, bob, "as before")
        if what == "a directory":
            daemon.config.rmdir()
        else:
            daemon.config.unlink()
        daemon.config.write_text(text)
        daemon.reload()


async def test_a_file_that_is_replaced_a_thousand_times_a_second_ends_as_the_last_one(
    tmp_path: Path, corp: Issuer
) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    with Daemon(tmp_path, settings(watch=True), corp) as daemon:
        async with entering(daemon, corp) as enter:
            ann, bob = await enter("ann"), await enter("bob")
            editions = [
                daemon.render({**variant(number), "server": daemon.settings["server"]}) for number in range(5)
            ]
            editions.append("namespaces: [")

            def replace() -> int:
                count, until = 0, time.monotonic() + 3
                while time.monotonic() < until:
                    daemon.write(editions[count % len(editions)])
                    count += 1
                daemon.write(editions[1])
                return count

            replacing = asyncio.create_task(asyncio.to_thread(replace))
            slowest = 0.0
            while not replacing.done():
                start = time.monotonic()
                await assert_heard(ann, bob, f"at {start}")
                slowest = max(slowest, time.monotonic() - start)
                await asyncio.sleep(0.05)
            count = await replacing
            assert count > 1000, f"only {count} times"
            wanted = load(str(daemon.config), Disk()).digest
            await eventually(lambda: daemon.status()["digest"] == wanted, "the last one is in force", limit=8)
            assert slowest < seconds(2), f"a message took {slowest:.2f} s meanwhile"
            await assert_heard(ann, bob, "after all that")


# --- time ----------------------------------------------------------------------------------------------------


@pytest.fixture
def jumping(tmp_path: Path, corp: Issuer) -> Iterator[Daemon]:
    """A daemon whose wall clock is set by a file; its steady clock runs on, as the kernel's does."""
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "clock").write_text("+0")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with Daemon(
        tmp_path, settings(ping_interval="1s", ping_timeout="3s"), corp, environment=environment
    ) as running:
        yield running


async def test_a_clock_that_jumps_ends_what_has_expired_and_nothing_else(
    jumping: Daemon, corp: Issuer
) -> None:
    async with entering(jumping, corp) as enter:
        ann = await enter("ann", lifetime=12 * 3600)
        bob = await enter("bob", lifetime=12 * 3600)
        short = await enter("eve", lifetime=1800)
        clock = jumping.directory / "clock"
        clock.write_text("-1h")
        await asyncio.sleep(3)  # several pings
        await assert_heard(ann, bob, "an hour ago")
        assert not short.sessions[CHAT].ended
        clock.write_text("+1h")
        await short.until(lambda: short.sessions[CHAT].ended, "what expired meanwhile ends")
        assert short.sessions[CHAT].events[-1][1]["code"] == "token_expired"
        await asyncio.sleep(3)
        await assert_heard(ann, bob, "in an hour")
        clock.write_text("+0")
        fresh = await enter("fresh")
        await assert_heard(fresh, ann, "and back")
        await asyncio.to_thread(jumping.reload)
        await assert_heard(ann, bob, "reloaded")


async def test_a_process_that_was_stopped_goes_on(tmp_path: Path, corp: Issuer) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    with Daemon(tmp_path, settings(ping_interval="2s", ping_timeout="3s"), corp) as daemon:
        async with entering(daemon, corp) as enter:
            ann, bob = await enter("ann"), await enter("bob")
            short = await enter("eve", lifetime=4)
            daemon.signal(signal.SIGSTOP)
            await asyncio.sleep(6)
            assert not short.sessions[CHAT].ended
            daemon.signal(signal.SIGCONT)
            await short.until(lambda: short.sessions[CHAT].ended, "what expired meanwhile ends")
            await assert_heard(ann, bob, "it goes on")
            await asyncio.sleep(3)
            await assert_heard(bob, ann, "and nobody is late with a pong that could not be read")


# --- the machine ---------------------------------------------------------------------------------------------


async def test_without_descriptors_it_serves_who_is_there_and_takes_others_when_it_can(
    daemon: Daemon, corp: Issuer
) -> None:
    async with entering(daemon, corp) as enter:
        ann, bob = await enter("ann"), await enter("bob")
        assert daemon.process is not None
        pid = daemon.process.pid
        open_now = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - a short look, on no disk
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + 8, hard))
        crowd = [await asyncio.open_connection("127.0.0.1", daemon.port) for _ in range(60)]
        await assert_heard(ann, bob, "in the crowd")
        for _, writer in crowd:
            writer.close()
        carol = await enter("carol")
        await assert_heard(carol, ann, "there is room again")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


def test_a_restart_on_the_reference_is_ready_within_two_seconds_of_work(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("*.dev-key"))
    reference = yaml.safe_load((tmp_path / "config/compartments.yaml").read_text())
    corp = Issuer("corp")
    (tmp_path / "config/keys").mkdir(exist_ok=True)
    (tmp_path / "config/keys/corp.jwks.json").write_text(corp.jwks())
    reference["server"] = {"state": "state"}
    environment = {"COMPARTMENTD_BACKEND_SECRET": "a secret of at least thirty-two bytes, for tests"}
    (tmp_path / "config/state").mkdir(mode=0o700)
    taken = []
    for _ in range(5):
        daemon = Daemon(tmp_path / "config", reference, environment=environment)
        with daemon:
            assert daemon.process is not None
            taken.append(read_cpu_time(daemon.process.pid))
        if min(taken) < 2:
            return
    raise AssertionError(f"ready after {min(taken):.2f} s of CPU")


def read_cpu_time(pid: int) -> float:
    """Return the CPU seconds of a process and of its ended children, which no other load lengthens."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
