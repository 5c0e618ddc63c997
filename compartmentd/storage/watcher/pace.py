"""When to look: soon after the last hint, but not endlessly put off, and slowly where there is none."""

from __future__ import annotations

import msgspec


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. Editors and package managers change a file in several steps, so a look waits for quiet.

    Without a hint there is a look every `poll` anyway: events get lost (a full queue, a network file system,
    a directory that could not be watched).
    """

    quiet: float = 0.15
    longest: float = 1.0
    poll: float = 3.0

    def next_look(self, looked: float, first_hint: float | None, last_hint: float) -> float:
        """Return when to look, given when that was last done, and the first and last hint since."""
        if first_hint is None:
            return looked + self.poll
        return min(last_hint + self.quiet, first_hint + self.longest)
