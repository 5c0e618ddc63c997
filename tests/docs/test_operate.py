"""The pages for operators say what the alert rules, the bench's table and the plan of ports say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from tests.support.markdown import code, page, tables

ROOT = Path(__file__).parents[2]

PLAN = {8000, 8001, 8002, *range(8010, 8020), *range(8110, 8120)}
"""Clients, admin, API; the clients' listeners of several processes, and their admin listeners."""

OTHERS = {80, 443, 1024, 3000, 5173, 8443}
"""Ports of proxies and of pages in examples, and the first that needs no privilege."""

PORT = re.compile(
    r"""
    (?:127\.0\.0\.1|localhost|\*|\[::1?\]|\brt|\.example\.com):(\d{2,5})\b   # an address
    | \b[Pp]ort"?:?\s*"?(\d{2,5})\b                                          # `port: 8001`, `addr … port 8001`
    | \w+@(\d{4})\b                                                         # a unit, by its port
    | /(\d{4})\.yaml                                                        # its file
    | \b(?:EXPOSE|-p)\s+(\d{2,5})                                           # a container's
    """,
    re.VERBOSE,
)


def test_one_plan_of_ports_holds_everywhere() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "README.md", "Containerfile", "config", "debian", "docs", "schemas"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found: dict[int, set[str]] = {}
    for name in listed.splitlines():
        if not name.endswith(".png"):
            for numbers in PORT.findall((ROOT / name).read_text()):
                found.setdefault(int("".join(numbers)), set()).add(name)
    assert {8000, 8001, 8010, 8011, 8110, 8111} <= found.keys()
    assert {port: names for port, names in found.items() if port not in PLAN | OTHERS} == {}


def test_the_plan_is_told() -> None:
    [rows] = tables(page("operate/index.md"), "port", "for")
    told = {int(port) for row in rows for port in re.findall(r"\d{4}", row[0])}
    assert told == {8000, 8001, 8002, 8010, 8011, 8110, 8111}


def test_the_table_of_alerts_is_that_of_the_rules() -> None:
    [rows] = tables(page("operate/metrics.md"), "alert", "severity", "what it means", "what to do")
    rules = yaml.safe_load((ROOT / "config/monitoring/alerts.yaml").read_text())["groups"][0]["rules"]
    assert [(code(row[0])[0], row[1]) for row in rows] == [
        (rule["alert"], rule["labels"]["severity"]) for rule in rules
    ]


def test_the_figures_of_sizing_are_those_of_the_bench() -> None:
    [rows] = tables(page("operate/sizing.md"), "work", "cost (2026-11-24)", "so one core")
    bench = page("operate/performance.md")
    figures = [figure for row in rows for figure in re.findall(r"\d[\d,.]*\d", row[1])]
    assert len(figures) >= 10
    assert [
        figure for figure in figures if f" {figure} " not in bench and f" {figure} templates" not in bench
    ] == []
