"""The report of a soak: its figures as text and JSON, and its plot as SVG."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from tests.soak.measure import MIB, Sample, fit, select_settled

WIDTH, HEIGHT, LEFT, GAP = 760, 110, 90, 40
PANELS = (
    ("rss", "RSS, MiB", MIB),
    ("pss", "PSS, MiB", MIB),
    ("descriptors", "descriptors", 1),
    ("tasks", "tasks", 1),
)


def as_json(samples: Sequence[Sample], done: Mapping[str, int], faults: Sequence[str]) -> str:
    """Return everything that was measured."""
    trends = {
        name: dict(zip(("per_hour", "low", "high"), fit(points).per_hour(unit), strict=True))
        for name, _, unit in PANELS
        if (points := settled_points(samples, name))
    }
    return json.dumps(
        {
            "done": dict(done),
            "faults": list(faults),
            "trends": trends,
            "samples": [s._asdict() for s in samples],
        },
        default=str,
    )


def settled_points(samples: Sequence[Sample], name: str) -> list[tuple[float, float]]:
    """Return one series after the warm-up."""
    points = [(each.at, getattr(each, name)) for each in select_settled(samples)]
    return [(at, value) for at, value in points if not math.isnan(value)]


def as_text(samples: Sequence[Sample], done: Mapping[str, int], faults: Sequence[str]) -> str:
    """Return the figures as lines."""
    settled = select_settled(samples)
    lines = [
        f"{samples[-1].at - samples[0].at:.0f} s, {len(samples)} samples, of which {len(settled)} after the warm-up"
    ]
    lines.append(", ".join(f"{count} x {name}" for name, count in sorted(done.items())))
    for name, title, unit in PANELS:
        points = settled_points(samples, name)
        if len(points) < 3:
            continue
        trend = fit(points)
        slope, low, high = trend.per_hour(unit)
        lines.append(
            f"{title:12} {trend.mean / unit:8.1f}, {slope:+.2f} an hour (95 %: {low:+.2f} to {high:+.2f})"
        )
    return "\n".join([*lines, *(f"FAULT: {fault}" for fault in faults[:20]), f"{len(faults)} faults"])


def as_svg(samples: Sequence[Sample]) -> str:
    """Return a plot: one panel for each series, with the line that was fitted to its settled part."""
    height = len(PANELS) * (HEIGHT + GAP) + 30
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + LEFT + 30}" height="{height}"'
        ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    )
    panels = [_draw_panel(samples, *panel, 20 + index * (HEIGHT + GAP)) for index, panel in enumerate(PANELS)]
    return "\n".join([head, *panels, "</svg>\n"])


def _draw_panel(samples: Sequence[Sample], name: str, title: str, unit: float, top: float) -> str:
    points = [(each.at, getattr(each, name) / unit) for each in samples]
    points = [(at, value) for at, value in points if not math.isnan(value)]
    if len(points) < 3:
        return ""
    start, end = points[0][0], points[-1][0]
    low, high = min(value for _, value in points), max(value for _, value in points)
    low, high = low - 0.05 * (high - low) - 0.5, high + 0.05 * (high - low) + 0.5

    def place(at: float, value: float) -> str:
        x = LEFT + WIDTH * (at - start) / (end - start)
        y = top + HEIGHT * (high - value) / (high - low)
        return f"{x:.1f},{y:.1f}"

    settled = settled_points(samples, name)
    trend = fit(settled)
    middle = sum(at for at, _ in settled) / len(settled)
    ends = [(at, (trend.mean + trend.slope * (at - middle)) / unit) for at in (settled[0][0], settled[-1][0])]
    slope, least, most = trend.per_hour(unit)
    label = f"{title}: {slope:+.2f} an hour ({least:+.2f} to {most:+.2f})"
    return "\n".join(
        [
            f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>',
            f'<text x="{LEFT}" y="{top - 5}">{escape(label)}</text>',
            *(
                f'<text x="{LEFT - 6}" y="{y:.0f}" text-anchor="end">{value:.1f}</text>'
                for y, value in ((top + 10, high), (top + HEIGHT, low))
            ),
            f'<text x="{LEFT + WIDTH}" y="{top + HEIGHT + 14}" text-anchor="end">{end - start:.0f} s</text>',
            f'<polyline fill="none" stroke="#36c" points="{" ".join(place(*point) for point in points)}"/>',
            f'<polyline fill="none" stroke="#c33" points="{" ".join(place(*point) for point in ends)}"/>',
        ]
    )
