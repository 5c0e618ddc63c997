"""The request to end the daemon."""

from __future__ import annotations

import asyncio
import logging

from compartmentd.telemetry.logs import log


class Stop:
    """Remembers that the daemon is to end, by a signal or because a part of it failed.

    Attributes:
        requested: set once it is to end; connections are then closed little by little.
        repeated: set once it was asked again; all is then closed at once.
        failed: whether a part has failed.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.repeated = asyncio.Event()
        self.failed = False

    def request(self) -> None:
        """Ask for the end; the second time, for a quick one."""
        (self.repeated if self.requested.is_set() else self.requested).set()

    def fail(self, error: BaseException) -> None:
        """End after the failure of a part: its work would be missing silently."""
        log(logging.CRITICAL, "part_failed", "a part of the daemon failed", exc=error)
        self.failed = True
        self.request()
