"""The test support itself: a check that cannot fail is worse than none."""

from __future__ import annotations

import asyncio
import json
import threading

import jwt
import pytest

from tests.conftest import _supervised, threads_since
from tests.support.clock import FakeClock
from tests.support.mint import Issuer
from tests.support.timing import eventually, within


async def test_async_tests_run() -> None:
    assert asyncio.get_running_loop().is_running()


def test_a_leaked_task_fails_the_test() -> None:
    async def leaky() -> None:
        globals()["kept"] = asyncio.ensure_future(asyncio.Event().wait())

    with pytest.raises(AssertionError, match="left tasks behind"):
        asyncio.run(_supervised(leaky()))
    del globals()["kept"]


def test_a_leaked_thread_is_seen() -> None:
    before, stop = set(threading.enumerate()), threading.Event()
    leaked = threading.Thread(target=stop.wait)
    leaked.start()
    assert threads_since(before) == {leaked}
    stop.set()
    leaked.join()
    assert not threads_since(before)


async def test_a_child_is_waited_for_without_a_thread() -> None:
    before = set(threading.enumerate())
    child = await asyncio.create_subprocess_exec("sleep", "0.1")
    assert not threads_since(before)
    assert await child.wait() == 0


async def test_waits_that_end_in_vain_say_what_for() -> None:
    with pytest.raises(AssertionError, match="the moon"):
        await within(0.01, asyncio.Event().wait(), "the moon")
    with pytest.raises(AssertionError, match="the sun"):
        await eventually(lambda: False, "the sun", limit=0.01)


@pytest.mark.parametrize("algorithm", ["RS256", "HS256"])
def test_minted_tokens_verify_with_the_written_keys(tmp_path, algorithm) -> None:
    issuer = Issuer("corp", algorithm=algorithm)
    issuer.write_keys(tmp_path)
    written = (tmp_path / issuer.file).read_text()
    key = written.removesuffix("\n") if issuer.symmetric else jwt.PyJWK(json.loads(written)["keys"][0]).key
    token = issuer.token("ann", scope="chat:read", nbf=...)
    claims = jwt.decode(token, key, algorithms=[algorithm], audience="realtime", issuer=issuer.url)
    assert (claims["sub"], claims["scope"]) == ("ann", "chat:read")
    assert "nbf" not in claims


def test_the_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock(100.0)
    assert clock() == clock()
    assert clock.advance(2.5) == clock() == 102.5
