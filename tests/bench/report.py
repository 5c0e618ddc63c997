"""A run's rows, for people and for programs: a table, a file of JSON, a plot."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from html import escape

from tests.bench.paired import Comparison
from tests.bench.rows import TARGETS, Row

HEAD = ("work", "ours", "peer", "peer's", "unit", "ratio", "[min-max]", "target", "met")
NUMBERS = {1, 3, 5}
"""The columns that are set to the right."""


def number(value: float | None) -> str:
    """Return a value in three digits, which is more than a shared machine repeats."""
    if value is None:
        return ""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}" if digits < 5 else f"{value:.2e}"


def verdict(row: Row) -> str:
    """Return whether a row reached what it has to, and the goal beyond."""
    if row.met is None:
        return ""
    return "NO" if not row.met else "yes, and the goal" if row.goal_met else "yes"


def as_table(rows: Sequence[Row]) -> str:
    """Return the table, in Markdown that can be read as it is."""
    cells = [
        (
            row.work,
            number(row.ours),
            row.peer,
            number(row.peer_value),
            row.unit,
            number(row.ratio),
            f"[{number(row.spread.low)}-{number(row.spread.high)}]",
            row.target or "",
            verdict(row),
        )
        for row in rows
    ]
    return _aligned([HEAD, *cells], NUMBERS)


AB_HEAD = ("work", "this tree", "base", "unit", "ratio", "95 % interval", "verdict")
AB_NUMBERS = {1, 2, 4}


def as_comparison(compared: Sequence[Comparison]) -> str:
    """Return the table of an A/B run, in Markdown that can be read as it is."""
    cells = [
        (
            each.row.work,
            number(each.row.ours),
            number(each.row.peer_value),
            each.row.unit,
            f"{each.ratio:.3f}",
            f"[{each.interval.low:.3f}-{each.interval.high:.3f}]" if each.interval else "too few rounds",
            each.verdict.upper() if each.verdict == "worse" else each.verdict,
        )
        for each in compared
    ]
    return _aligned([AB_HEAD, *cells], AB_NUMBERS)


def _aligned(lines: Sequence[Sequence[str]], numbers: Collection[int]) -> str:
    """Return a Markdown table of lines, the head first, with these columns set to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = tuple("-" * (width - 1) + (":" if at in numbers else "-") for at, width in enumerate(widths))

    def line(parts: Sequence[str]) -> str:
        padded = (
            part.rjust(width) if at in numbers else part.ljust(width)
            for at, (part, width) in enumerate(zip(parts, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    head, *rest = lines
    return "\n".join(line(parts) for parts in [head, rule, *rest])


def as_json(rows: Sequence[Row]) -> str:
    """Return the file's text."""
    return json.dumps({"rows": [row.as_json() for row in rows]}, indent=2, ensure_ascii=False) + "\n"


# --- the plot -------------------------------------------------------------------------------------------------

LINE, LEFT, WIDTH, RIGHT, TOP = 22, 400, 560, 90, 46
"""Pixels: of a row, of the names, of the bars, of the figures behind them, of the title."""

COLOURS = {
    (True, True): "#2a7f3f",
    (True, False): "#3b6fb6",
    (False, False): "#b3372f",
    (None, None): "#8a8a8a",
}
KEY = "green: goal reached · blue: must reached · red: missed · grey: nothing asked · | must · ¦ goal"


class Bar:
    """A row as a factor, which is above 1 where ours is better, with its marks.

    A row without a peer is measured against its must.
    """

    def __init__(self, row: Row) -> None:
        self.row = row
        bounds = TARGETS.get((row.work, row.peer), ())
        bound = (
            next((each for each in bounds if each.of == "ratio"), None) if row.peer else next(iter(bounds))
        )
        scale = 1.0 if row.peer or bound is None else bound.must
        self.more_is_better = row.more_is_better
        value = row.ours / scale if row.ratio is None else row.ratio
        self.value = self._better(value)
        self.ends = sorted(self._better(each / scale) for each in row.spread)
        self.marks = () if bound is None else tuple(self._better(m / scale) for m in (bound.must, bound.goal))

    def _better(self, ratio: float) -> float:
        ratio = max(ratio, 1e-9)  # a peer that did nothing is no reason to fail
        return ratio if self.more_is_better else 1 / ratio

    @property
    def title(self) -> str:
        """The label of the bar."""
        return self.row.work + (f" / {self.row.peer}" if self.row.peer else " / must")


def as_svg(rows: Sequence[Row]) -> str:
    """Return a plot of the ratios on a logarithmic scale, with must and goal; to the right ours is better."""
    bars = [Bar(row) for row in rows if row.ratio is not None or (row.work, row.peer) in TARGETS]
    everything = [1.0, *(each for bar in bars for each in (bar.value, *bar.ends, *bar.marks))]
    low, high = math.floor(math.log2(min(everything))), math.ceil(math.log2(max(everything)) + 0.01)
    height = TOP + LINE * len(bars) + 30

    def x(value: float) -> float:
        return LEFT + WIDTH * (math.log2(value) - low) / (high - low)

    def text(at: float, y: float, words: str, anchor: str = "start") -> str:
        return f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'

    def grid() -> Iterator[str]:
        for power in range(low, high + 1):
            at, colour = x(2.0**power), "#444" if power == 0 else "#ddd"
            yield f'<path d="M{at:.1f} {TOP}V{height - 24}" stroke="{colour}"/>'
            yield text(at, height - 8, f"{2.0**power:g}x", "middle")

    def drawn(at: int, bar: Bar) -> Iterator[str]:
        y = TOP + LINE * at
        left, right = sorted((x(1.0), x(bar.value)))
        colour = COLOURS[bar.row.met, bar.row.goal_met]
        yield text(LEFT - 8, y + 15, bar.title, "end")
        yield f'<rect x="{left:.1f}" y="{y + 4}" width="{right - left:.1f}" height="14" fill="{colour}"/>'
        yield f'<path d="M{x(bar.ends[0]):.1f} {y + 11}H{x(bar.ends[1]):.1f}" stroke="#000"/>'
        for mark, dashes in zip(bar.marks, ("none", "3 2"), strict=False):
            yield f'<path d="M{x(mark):.1f} {y + 1}v20" stroke="#000" stroke-dasharray="{dashes}"/>'
        yield text(LEFT + WIDTH + 8, y + 15, f"{number(bar.value)}x")

    size = f'width="{LEFT + WIDTH + RIGHT}" height="{height}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        text(LEFT, 18, "How many times better ours is than a peer, by CPU time (logarithmic)"),
        text(LEFT, 36, KEY),
    ]
    return "\n".join(
        [*head, *grid(), *(part for at, bar in enumerate(bars) for part in drawn(at, bar)), "</svg>\n"]
    )
