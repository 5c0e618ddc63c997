"""The README is short and names everything that is there; the table of layers is the one that is held."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.markdown import tables
from tests.test_layers import LAYERS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

PARTS = {"config/demo", "config/events", "config/keys"}
"""Folders of the two configurations, which are named with them."""


def test_the_readme_is_short_and_leads_to_everything_else() -> None:
    assert len(README.splitlines()) <= 150
    papers = {path.name for path in ROOT.glob("*.md")} - {"README.md"}
    assert {name for name in papers if f"({name})" not in README} == set()


def test_the_map_names_everything_that_is_there() -> None:
    [rows] = tables(README, "where", "what is there")
    named = " ".join(row[0] + row[1] for row in rows)
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    top = {file.split("/")[0] for file in listed.splitlines() if "/" in file}
    configured = {
        "/".join(file.split("/")[:2])
        for file in listed.splitlines()
        if file.count("/") > 1 and file.startswith("config/")
    }
    assert [name for name in (top - {"config"}) | (configured - PARTS) if f"{name}/" not in named] == []


def test_the_pictures_are_small() -> None:
    pictures = sorted((ROOT / "docs").rglob("*.png"))
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size > 300_000] == []


def test_the_table_of_layers_is_the_one_that_is_held() -> None:
    [rows] = tables((ROOT / "ARCHITECTURE.md").read_text(), "layer", "modules", "")
    documented = [set(re.findall(r"`([a-z_]+)/?`", row[1])) for row in rows]
    assert documented == [set(row.members) - {"__main__"} for row in LAYERS]
