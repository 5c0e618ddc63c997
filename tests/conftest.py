"""Set-up of every test: async tests on a loop of their own, leak checks, reproducible properties."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import sys
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from compartmentd.telemetry import logs
from compartmentd.telemetry.throttle import Throttle
from tests.support.timing import environment_without_coverage, seconds

# Examples are drawn from the test's own name, so a run on a colleague's machine sees the same ones, and no
# machine fails a property for its speed. `HYPOTHESIS_PROFILE=thorough` searches anew, and longer.
settings.register_profile(
    "default",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("default"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# Python 3.11 waits for each child in a thread, which ends a moment after the child and would look like one that a
# test left behind. With a pidfd (pidfd_open(2)) the loop waits itself, as it does from 3.12 on.
if sys.version_info < (3, 12):
    asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


# Secrets that tests write are their own, as an operator's should be; otherwise each start would warn of them.
os.umask(0o077)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that rewrites expected results; expected problems are never rewritten."""
    parser.addoption("--update-golden", action="store_true", help="rewrite what the cases compile to")


def pytest_collection_finish() -> None:
    """Exempt the tests' own objects from garbage collection.

    A full collection would examine a quarter of a million objects, for 0.12 s, in the middle of any test, including
    those that assert how little time something takes.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def uncovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that a test starts run without coverage: it asserts how long they take."""
    for name in os.environ.keys() - environment_without_coverage().keys():
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _log_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a throttle and a level of its own, so that earlier tests suppress none of its log lines."""
    monkeypatch.setattr(logs, "_throttle", Throttle())
    logs.logger.setLevel(logging.NOTSET)


ASYNC_LIMIT = 240
"""Seconds that an async test may take, many times what the longest needs, so that a busy machine fails none. The
test's own waits say what they wait for; this limit ends everything else."""


async def _supervised(test: Coroutine[Any, Any, None]) -> None:
    """Run the test, and fail it if it leaves a task behind: that task's error would be lost."""
    async with asyncio.timeout(seconds(ASYNC_LIMIT)):
        await test
    for _ in range(3):  # what the test cancelled or closed gets the loop turns that this takes
        await asyncio.sleep(0)
    leaked = asyncio.all_tasks() - {asyncio.current_task()}
    assert not leaked, f"the test left tasks behind: {leaked}"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests, each on a fresh loop; asyncio.run closes it with everything that it made."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    asyncio.run(_supervised(pyfuncitem.obj(**arguments)))
    return True


def threads_since(before: set[threading.Thread]) -> set[threading.Thread]:
    """Return the threads that were not there before."""
    return set(threading.enumerate()) - before


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread running: it would disturb the others, or outlive them."""
    before = set(threading.enumerate())
    yield
    left = threads_since(before)
    assert not left, f"the test left threads behind: {left}"
