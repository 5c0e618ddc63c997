"""Reloads under a stream of messages: whoever is denied gets nothing more, and nobody else loses anything.

A publisher sends numbers without end. A client that stays must have got each number once, in order; one that
was put out must have got an unbroken run of them, and none that was sent after the reload was reported done.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings as hypothesis_settings, strategies as st

from tests.support.daemon import Daemon
from tests.support.mint import Issuer
from tests.support.rawclient import Polling, RawClient, SocketIo
from tests.support.timing import eventually

GROUPS = ("a", "b", "c", "d")
CLIENTS = 1000
NS = "/load"


def allowing(*groups: str) -> dict[str, Any]:
    """Return settings that let these groups (and the publisher, `p`) into the namespace."""
    return {
        "limits": {"message_rate": "unlimited", "join_rate": "unlimited", "sessions_per_user": "unlimited"},
        "namespaces": {
            NS: {
                "connect": {"claim": "group", "one_of": [*groups, "p"]},
                "rooms": {"stream": {"join": "authenticated", "publish": "members", "events": ["tick"]}},
            },
        },
    }


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    """A thousand connections need as many descriptors, here and in the daemon that is started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def dev() -> Issuer:
    """An issuer with a secret: a thousand of its tokens are made in no time."""
    return Issuer("dev", algorithm="HS256")


@pytest.fixture
def load_daemon(tmp_path: Path, dev: Issuer) -> Iterator[Daemon]:
    with Daemon(tmp_path, allowing(*GROUPS), dev) as running:
        yield running


class Stream:
    """The publisher: sends the next number whenever the last one was acked, until it is stopped."""

    def __init__(self, client: RawClient, pause: float) -> None:
        self.client = client
        self.pause = pause
        self.sent = 0
        self._stopped = False

    async def run(self) -> None:
        while not self._stopped:
            answer = await self.client.call(NS, "publish", "stream", "tick", self.sent)
            assert answer["ok"], answer
            self.sent += 1
            await asyncio.sleep(self.pause)

    async def reaches(self, number: int) -> None:
        """Wait until that many were sent in all."""
        await eventually(lambda: self.sent >= number, f"{number} messages sent", limit=60)

    def stop(self) -> None:
        self._stopped = True


@contextlib.asynccontextmanager
async def stream(daemon: Daemon, dev: Issuer, pause: float) -> AsyncIterator[Stream]:
    """Publish numbers while the block runs; after it, `sent` is the number of all."""
    client = await RawClient.open(daemon.url)
    await enter(client, dev.token("publisher", group="p"))
    publishing = Stream(client, pause)
    task = asyncio.create_task(publishing.run())
    try:
        yield publishing
        publishing.stop()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def enter(client: SocketIo, token: str) -> None:
    """Connect, and join the room."""
    assert (await client.connect(NS, token)).sid
    answer = await client.call(NS, "join", "stream")
    assert answer["ok"], answer


def ticks(client: SocketIo) -> list[int]:
    """Return the numbers that a client got, as they came."""
    return [event[1] for event in client.sessions[NS].events if event[0] == "tick"]


def closing(client: SocketIo) -> list[str]:
    """Return the codes of the endings that a client was told."""
    return [event[1]["code"] for event in client.sessions[NS].events if event[0] == "closing"]


def assert_unbroken(numbers: list[int]) -> None:
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True, numbers


async def reload(daemon: Daemon, settings: dict[str, Any] | str) -> bool:
    """Write the file, ask for a reload, and return what came of it once it is done."""
    daemon.write(settings)
    answer = await asyncio.to_thread(daemon.request, "POST", "/admin/reload")
    return answer.json["ok"]


async def test_half_of_a_thousand_are_out_before_reload_returns(load_daemon: Daemon, dev: Issuer) -> None:
    clients: dict[str, list[RawClient]] = {"a": [], "b": []}
    for start in range(0, CLIENTS, 50):  # not all at once: the kernel's backlog is not what is tested
        groups = ["a" if number % 2 else "b" for number in range(start, start + 50)]
        opened = await asyncio.gather(*(RawClient.open(load_daemon.url) for _ in groups))
        tokens = [dev.token(f"u{start + index}", group=group) for index, group in enumerate(groups)]
        await asyncio.gather(*(enter(client, token) for client, token in zip(opened, tokens, strict=True)))
        for group, client in zip(groups, opened, strict=True):
            clients[group].append(client)

    async with stream(load_daemon, dev, pause=0.05) as publisher:
        await publisher.reaches(10)
        load_daemon.write(allowing("a"))
        done = await asyncio.to_thread(load_daemon.reload)
        first_after = publisher.sent + 1  # the one that may be under way now was sent before
        left = load_daemon.status()["namespaces"][NS]["sessions"]
        assert done["evicted"]["sessions"] == CLIENTS // 2
        assert left == CLIENTS // 2 + 1, "those who stay, and the publisher"
        await publisher.reaches(first_after + 10)

    for client in clients["a"]:
        await client.until(
            lambda c=client: len(ticks(c)) == publisher.sent, "every number for those who stay"
        )
    for client in clients["b"]:
        await client.until(lambda c=client: c.sessions[NS].ended, "the end for those who are out")
    assert all(ticks(client) == list(range(publisher.sent)) for client in clients["a"])
    assert not any(client.closed or closing(client) for client in clients["a"])
    for client in clients["b"]:
        assert closing(client) == ["policy_changed"]
        assert client.sessions[NS].events[-1][0] == "closing", "nothing after it"
        assert ticks(client) == list(range(len(ticks(client))))
        assert len(ticks(client)) <= first_after
    await asyncio.gather(*(client.close() for group in clients.values() for client in group))


STEP = st.one_of(
    st.sets(st.sampled_from(GROUPS)).map(lambda groups: allowing(*sorted(groups))),
    st.sets(st.sampled_from(GROUPS)).map(lambda groups: allowing(*sorted(groups))),
    st.sampled_from(["", "version: 1\nnamespaces: [", "version: 1\nnamespaces: {/load: {conect: public}}\n"]),
)
"""A reload: two of three valid, letting in some of the groups."""


@hypothesis_settings(
    max_examples=4, phases=[Phase.explicit, Phase.generate]
)  # each takes seconds of real time
@given(steps=st.lists(STEP, min_size=5, max_size=7))
def test_whoever_stays_loses_nothing_and_whoever_is_out_gets_nothing(
    tmp_path_factory: pytest.TempPathFactory, dev: Issuer, steps: list[dict[str, Any] | str]
) -> None:
    with Daemon(tmp_path_factory.mktemp("reloads"), allowing(*GROUPS), dev) as daemon:
        asyncio.run(_reloads(daemon, dev, steps))


async def _reloads(daemon: Daemon, dev: Issuer, steps: list[dict[str, Any] | str]) -> None:
    clients: dict[str, list[SocketIo]] = {group: [] for group in GROUPS}
    for group in GROUPS:
        for number in range(8):
            client: RawClient | Polling
            if number % 4 == 3:
                client = await Polling.open(daemon.url)
                client.keep_polling()
            else:
                client = await RawClient.open(daemon.url)
            await enter(client, dev.token(f"{group}{number}", group=group))
            clients[group].append(client)
    out_at: dict[str, int] = {}
    async with stream(daemon, dev, pause=0.002) as publisher:
        for step in steps:
            await publisher.reaches(publisher.sent + 5)
            assert await reload(daemon, step) is not isinstance(step, str)
            if not isinstance(step, str):
                let_in = step["namespaces"][NS]["connect"]["one_of"]
                for group in set(GROUPS) - set(let_in) - set(out_at):
                    out_at[group] = publisher.sent + 1
        await publisher.reaches(publisher.sent + 5)
    for group, members in clients.items():
        for client in members:
            if group in out_at:
                await client.until(lambda c=client: c.sessions[NS].ended, f"the end of {group}")
                assert closing(client) == ["policy_changed"]
                assert client.sessions[NS].events[-1][0] == "closing", "nothing after it"
                assert ticks(client) == list(range(len(ticks(client))))
                assert len(ticks(client)) <= out_at[group]
            else:
                await client.until(
                    lambda c=client: len(ticks(c)) >= publisher.sent, f"every number for {group}"
                )
                assert ticks(client) == list(range(publisher.sent))
                assert not closing(client)
            await client.close()


# --- sessions at inconvenient moments -----------------------------------------------------------------------


async def test_a_session_that_does_not_poll_learns_of_the_reload_when_it_does(
    load_daemon: Daemon, dev: Issuer
) -> None:
    publisher = await RawClient.open(load_daemon.url)
    await enter(publisher, dev.token("p", group="p"))
    polling = {group: await Polling.open(load_daemon.url) for group in "ab"}
    for group, client in polling.items():
        client.keep_polling()
        await enter(client, dev.token(group, group=group))
        paused = asyncio.create_task(client.pause())
        client.write('42/load,7["leave","elsewhere"]')  # whose ack answers the GET under way
        await paused
    for number in range(3):
        await publisher.call(NS, "publish", "stream", "tick", number)
    assert await reload(load_daemon, allowing("a"))
    for number in range(3, 6):
        await publisher.call(NS, "publish", "stream", "tick", number)
    for client in polling.values():
        assert await client.poll() == 200
    assert ticks(polling["a"]) == list(range(6))
    assert ticks(polling["b"]) == list(range(len(ticks(polling["b"]))))
    assert len(ticks(polling["b"])) <= 3
    assert closing(polling["b"]) == ["policy_changed"]
    assert polling["b"].sessions[NS].ended
    for client in (publisher, *polling.values()):
        await client.close()


async def test_a_held_poll_is_answered_with_the_end(load_daemon: Daemon, dev: Issuer) -> None:
    client = await Polling.open(load_daemon.url)
    client.keep_polling()
    await enter(client, dev.token("b", group="b"))
    assert await reload(load_daemon, allowing("a"))
    await client.until(lambda: client.sessions[NS].ended, "the end, by the poll that was held")
    assert closing(client) == ["policy_changed"]
    await client.close()


@pytest.mark.parametrize("group", ["a", "b"])
async def test_a_session_in_the_middle_of_its_upgrade_is_judged_too(
    load_daemon: Daemon, dev: Issuer, group: str
) -> None:
    publisher = await RawClient.open(load_daemon.url)
    await enter(publisher, dev.token("p", group="p"))
    polling = await Polling.open(load_daemon.url)
    polling.keep_polling()
    await enter(polling, dev.token(group, group=group))
    probe = await RawClient.dial(load_daemon.url, query=f"&sid={polling.sid}")
    paused = asyncio.create_task(polling.pause())
    probe.write("2probe")
    await probe.until(lambda: "3probe" in probe.packets, "the answer to the probe")
    await paused
    await publisher.call(NS, "publish", "stream", "tick", 0)
    assert await reload(load_daemon, allowing("a"))
    await publisher.call(NS, "publish", "stream", "tick", 1)
    probe.write("5")
    got = ticks(polling)
    if group == "a":
        probe.sessions[NS] = polling.sessions[NS]
        await probe.until(lambda: len(ticks(probe)) == 2, "both messages, over the new transport")
        assert ticks(probe) == [0, 1]
        assert (await probe.call(NS, "publish", "stream", "tick", 2))["ok"]
    else:
        probe.sessions[NS] = polling.sessions[NS]
        await probe.until(lambda: probe.sessions[NS].ended, "the end, over the new transport")
        assert 1 not in ticks(probe)
        assert closing(probe) == ["policy_changed"]
    assert got in ([], [0])
    await probe.close()
    await publisher.close()
