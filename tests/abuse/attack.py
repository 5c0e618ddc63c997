"""What an attack is: a function that runs in a process of its own against a daemon, and what it may cost.

    @attack("A5", "20 sockets of one address are allowed; it opens 2,000 and says nothing", server={…})
    def silent_connections(target: Target) -> None:
        ...

An attack runs until `target.over()`, which it asks often. What it saw goes into `target.seen`, by name; what must
not be seen goes to `target.wrong`, and fails the test.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MIB = 1 << 20

ATTACKS: dict[str, Attack] = {}
"""By name, in the order of the files. `catalogue` imports them all."""

STRANGER = "127.0.66.1"
"""The address that attackers come from; the others of loopback are anybody else's."""


@dataclass
class Target:
    """The daemon as an attacker knows it."""

    host: str
    port: int
    tokens: list[str]
    until: float
    admin: tuple[str, int] | None = None
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def over(self) -> bool:
        """Return whether the attack's time is over (monotonic time, which all processes share)."""
        return time.monotonic() >= self.until

    def rest(self) -> float:
        """Return the seconds that are left, a little at least, as a socket's timeout."""
        return max(0.05, self.until - time.monotonic())

    def check(self, holds: bool, what: str) -> None:
        """Note something that must not be seen; a few are enough."""
        if not holds and len(self.wrong) < 5:
            self.wrong.append(what)


@dataclass(frozen=True)
class Attack:
    """One row of the table.

    `settings` replaces parts of the configuration, `server` keys of its `server`. `tokens` is how many tokens the
    attacker gets, `claims` what each holds. `stays` means that its sockets stay open after the attack: the daemon
    has to get rid of them by itself within so many seconds. `peak` and `left` are MiB above the calm state, `most`
    descriptors above it. `waits` is given for an attack that takes so much of the machine itself that well-behaved
    clients may wait for more than a second where two cores serve the attacker, them and the daemon: the reason. All
    else holds, and is tested: sessions end in time there, too.
    """

    name: str
    kind: str
    row: str
    about: str
    run: Callable[[Target], None]
    settings: Mapping[str, Any]
    server: Mapping[str, Any]
    tls: bool
    tokens: int
    claims: Mapping[str, Any]
    seconds: float
    stays: float
    peak: int
    left: int
    most: int
    waits: str


def attack(
    row: str,
    about: str,
    *,
    settings: Mapping[str, Any] | None = None,
    server: Mapping[str, Any] | None = None,
    tls: bool = False,
    tokens: int = 1,
    claims: Mapping[str, Any] | None = None,
    seconds: float = 4.0,
    stays: float = 0.0,
    peak: int = 64,
    left: int = 24,
    most: int = 1200,
    waits: str = "",
) -> Callable[[Callable[[Target], None]], Callable[[Target], None]]:
    """Enter a function into the catalogue."""

    def enter(run: Callable[[Target], None]) -> Callable[[Target], None]:
        assert run.__name__ not in ATTACKS
        ATTACKS[run.__name__] = Attack(
            name=run.__name__,
            kind=run.__module__.rpartition(".")[2],
            row=row,
            about=about,
            run=run,
            settings=settings or {},
            server=server or {},
            tls=tls,
            tokens=tokens,
            claims=claims or {},
            seconds=seconds,
            stays=stays,
            peak=peak,
            left=left,
            most=most,
            waits=waits,
        )
        return run

    return enter
