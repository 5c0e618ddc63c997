"""Tasks of the event loop that nobody awaits, and work that is done once for all who ask for it together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class BackgroundTasks:
    """Tasks that run beside everything else; the event loop alone would not keep them alive."""

    def __init__(self, on_failure: Callable[[BaseException], None] | None = None) -> None:
        """Begin with no task; `on_failure` gets the exception of each task that fails (not of cancelled ones)."""
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        """Return how many tasks have not ended."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run work as a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    async def wait(self) -> None:
        """Wait until all tasks of this moment have ended, in whichever way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        for task in tuple(self._tasks):
            task.cancel()
        await self.wait()

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if self._on_failure is not None and not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)


class SingleFlight(Generic[K, T]):
    """Runs work once for all who ask for it before it begins; one run at a time.

    A run that has begun does not count for later callers: it may have read already what such a caller has just
    changed. Work is named by a key, of which several may wait for their turn.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting: dict[K, asyncio.Task[T]] = {}
        self._tasks = BackgroundTasks()

    async def run(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the first run of this key that begins from now on.

        The work is that of the first who asks for the key; work that others bring is not run.
        """
        task = self._waiting.get(key)
        if task is None:
            task = self._waiting[key] = self._tasks.start(self._run_in_turn(key, work))
        # A caller that goes away, such as a closed connection, does not take the run with it.
        return await asyncio.shield(task)

    async def wait(self) -> None:
        """Wait for the runs that were asked for."""
        await self._tasks.wait()

    async def _run_in_turn(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        async with self._turn:
            del self._waiting[key]
            return await work()
