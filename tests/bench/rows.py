"""The rows of the table, one for each work and peer, and their targets.

A work is measured in rounds, ours and the peers in turns, so that what else the machine does hits all of them.
Only the ratio of one round means anything on a shared machine: a row's ratio is the median of the rounds' ratios
and its spread the lowest and the highest of them. `ours` and `peer_value` are medians, for orientation.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Bound(NamedTuple):
    """A target of a row: the limit that it must reach, and the goal beyond it.

    `of` is the field that is bound, "ratio" (ours / the peer's) or "ours" (in the row's unit).
    """

    of: str
    least: bool
    must: float
    goal: float

    def text(self, unit: str) -> str:
        """Return how it reads in the table."""
        suffix = "x" if self.of == "ratio" else f" {unit}"
        return f"{'≥' if self.least else '≤'} {self.must:g}{suffix} (goal {self.goal:g}{suffix})"

    def holds(self, value: float, limit: float) -> bool:
        """Return whether a value reaches a limit of this bound."""
        return value >= limit if self.least else value <= limit


def at_most(must: float, goal: float, of: str = "ratio") -> Bound:
    """Return a bound of something that costs."""
    return Bound(of, False, must, goal)


def at_least(must: float, goal: float) -> Bound:
    """Return a bound of something that is done."""
    return Bound("ratio", True, must, goal)


# The names of the works, which the workloads use and the harness's own test looks for.
SINGLE = "fan-out, single message to {}"
SATURATED = "fan-out, saturated to {}"
SMALL_ROOMS = "fan-out, 250 rooms of 2 in turn"
SENDER_PER_ROOM = "fan-out, a sender in each of 10 rooms of 50"
INBOUND_ONE = "inbound, one in flight"
INBOUND_MANY = "inbound, 32 in flight"
INBOUND_TLS = "inbound, one in flight over TLS"
SETUP_KNOWN = "set-up, token known"
SETUP_DISTINCT = "set-up, distinct RS256 tokens"
MEMORY_WEBSOCKET = "idle memory, WebSocket"
MEMORY_POLLING = "idle memory, polling"
POLLING = "fan-out over polling, single message to 500"
POLLING_SATURATED = "fan-out over polling, saturated to 500"
DECISION = "join decision, {:,} templates"
RELOAD = "reload, 10,000 sessions and templates: longest pause"
RELOAD_SEEN = "reload, likewise: longest wait for an ack"
LEAVING = "10,000 leave at once: longest pause"
PERCENTILES = ("p50", "p99", "p99.9")
LATENCY = "latency {} at half of Node's saturation"
FAIRNESS = "p99 of others beside a flooding sender"

ROOM_SIZES = (2, 50, 500, 5000)
TEMPLATES = (10, 1000, 100_000)

WORKS: Mapping[str, tuple[str, ...]] = {
    "fanout": (
        *(SINGLE.format(size) for size in ROOM_SIZES),
        SMALL_ROOMS,
        SENDER_PER_ROOM,
        *(SATURATED.format(size) for size in ROOM_SIZES),
    ),
    "inbound": (INBOUND_ONE, INBOUND_MANY, INBOUND_TLS),
    "polling": (POLLING, POLLING_SATURATED),
    "latency": (*(LATENCY.format(share) for share in PERCENTILES), FAIRNESS),
    "setup": (SETUP_KNOWN, SETUP_DISTINCT),
    "memory": (MEMORY_WEBSOCKET, MEMORY_POLLING),
    "decisions": tuple(DECISION.format(count) for count in TEMPLATES),
    "reload": (RELOAD, RELOAD_SEEN),
    "leaving": (LEAVING,),
}
"""The modules of `tests.bench.workloads` in the order in which they run, and the works that each measures."""


def short_name(work: str) -> str:
    """Return the name by which a work is selected: "set-up, token known" is "set-up-token-known"."""
    return "-".join(re.findall(r"[a-z0-9.]+", work.lower().replace(",000", "000")))


def select(names: Iterable[str]) -> frozenset[str]:
    """Return the works that are meant by names: a workload's, or the beginning of a work's short name.

    Raises:
        ValueError: A name means no work.
    """
    found: set[str] = set()
    for name in names:
        meant = set(WORKS.get(name, ()))
        meant |= {
            work
            for works in WORKS.values()
            for work in works
            if f"{short_name(work)}-".startswith(f"{name}-")  # whole words: "...-to-50" is not "...-to-500"
        }
        if not meant:
            known = [*WORKS, *(short_name(work) for works in WORKS.values() for work in works)]
            raise ValueError(f"no row is called {name}; there are {', '.join(known)}")
        found |= meant
    return frozenset(found)


FEWEST = f"ours, {TEMPLATES[0]} templates"
"""The label of the comparison for decisions on more templates."""

TARGETS: Mapping[tuple[str, str], tuple[Bound, ...]] = {
    (SINGLE.format(500), "node"): (at_most(0.75, 0.66),),
    (SINGLE.format(500), "c"): (at_most(1.35, 1.2),),
    (SATURATED.format(500), "node"): (at_least(10, 20),),
    (SATURATED.format(2), "node"): (at_least(1.3, 1.5),),
    (SATURATED.format(50), "node"): (at_least(1.3, 1.5),),
    (INBOUND_ONE, "node"): (at_least(2, 2.3),),
    (INBOUND_MANY, "node"): (at_least(4, 6),),
    (INBOUND_TLS, "node"): (at_least(1.7, 2),),
    (SETUP_KNOWN, "node"): (at_most(0.8, 0.6),),
    (SETUP_DISTINCT, "node"): (at_most(1, 0.8),),
    (MEMORY_WEBSOCKET, "node"): (at_most(1, 0.5), at_most(16, 8, "ours")),
    (POLLING, "node"): (at_least(1, 1.5),),
    (DECISION.format(10), ""): (at_most(10, 5, "ours"),),
    (DECISION.format(1000), FEWEST): (at_most(10, 5, "ours"),),
    (DECISION.format(100_000), FEWEST): (at_most(1.3, 1.1), at_most(10, 5, "ours")),
    (RELOAD, ""): (at_most(20, 10, "ours"),),
    (LATENCY.format("p99"), "node"): (at_most(1, 0.5),),
}
"""The targets, by work and peer. A row that is not here has none."""


class Spread(NamedTuple):
    """The lowest and the highest of some values."""

    low: float
    high: float


def median(values: Iterable[float]) -> float:
    """Return the median, of one value at least."""
    return float(statistics.median(values))


class Row(NamedTuple):
    """One line of the table.

    `peer` is a server's name ("node", "python-socketio", "nchan", "c", "base"), or what else stands beside ours; it
    is empty, and `peer_value` and `ratio` are None, where a figure is measured against a number alone, whose spread
    is then that of our own value. `target` and `met` are None where nothing is asked; `met` is of the must.
    `ratios` has the rounds' ratios in their order.
    """

    work: str
    ours: float
    peer: str
    peer_value: float | None
    unit: str
    ratio: float | None
    spread: Spread
    target: str | None
    met: bool | None
    goal_met: bool | None = None
    ratios: tuple[float, ...] = ()

    @property
    def more_is_better(self) -> bool:
        """Whether the row counts work done per second of CPU, rather than a cost."""
        return self.unit.endswith("/CPU-s")

    def as_json(self) -> dict[str, Any]:
        """Return what stands in the file."""
        whole = self._asdict()
        del whole["goal_met"]  # the target's text and the figures say it
        del whole["ratios"]
        figures = {name: _rounded(whole[name]) for name in ("ours", "peer_value", "ratio")}
        return whole | figures | {"spread": [_rounded(value) for value in self.spread]}


def _rounded(value: float | None) -> float | None:
    """Return a value in five digits, which is more than it is worth."""
    return None if value is None else float(f"{value:.5g}")


def row(work: str, unit: str, ours: Sequence[float], peer: str = "", theirs: Sequence[float] = ()) -> Row:
    """Return the row of rounds: `ours[i]` and `theirs[i]` come from the same one.

    Args:
        work: One of the names above.
        unit: The unit of the values, as "µs/delivery".
        ours: Our values, one a round.
        peer: The name of the other side, or nothing.
        theirs: Its values, as many as ours.
    """
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)] if peer else []
    basis = ratios or ours
    found = Row(
        work=work,
        ours=median(ours),
        peer=peer,
        peer_value=median(theirs) if peer else None,
        unit=unit,
        ratio=median(ratios) if peer else None,
        spread=Spread(min(basis), max(basis)),
        target=None,
        met=None,
        ratios=tuple(ratios),
    )
    bounds = TARGETS.get((work, peer))
    if bounds is None:
        return found
    values = [(bound, getattr(found, bound.of)) for bound in bounds]
    return found._replace(
        target="; ".join(bound.text(unit.split("/", maxsplit=1)[0]) for bound in bounds),
        met=all(bound.holds(value, bound.must) for bound, value in values),
        goal_met=all(bound.holds(value, bound.goal) for bound, value in values),
    )
