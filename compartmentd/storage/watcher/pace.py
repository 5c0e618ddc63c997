"""When to check files: soon after the last hint, within a bound after the first, and slowly without hints."""

from __future__ import annotations

import msgspec

from compartmentd.storage.watcher.writers import SILENCE


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The timing of checks, in seconds.

    Editors and package managers change a file in several steps, so a check waits for `quiet` after the last
    hint, but not longer than `longest` after the first. Without hints there is a check every `poll`, since
    events get lost (a full queue, a network file system, a directory that could not be watched). A writer that
    keeps a file open and is silent for `silence` is not waited for.
    """

    quiet: float = 0.15
    longest: float = 1.0
    poll: float = 3.0
    silence: float = SILENCE

    def compute_next(self, looked: float, first_hint: float | None, last_hint: float) -> float:
        """Return the time of the next check, given that of the last one and of the first and last hint since."""
        if first_hint is None:
            return looked + self.poll
        return min(last_hint + self.quiet, first_hint + self.longest)
