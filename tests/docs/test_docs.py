"""The documentation cannot rot: its configurations compile, its command lines parse, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import click
import pytest
import yaml

from compartmentd.analysis.cases import collect_people, read_cases
from compartmentd.cli.main import cli
from compartmentd.configuration.compiler import load
from compartmentd.storage.files import Disk

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
PAPERS = [*sorted(ROOT.glob("*.md")), *PAGES]
FILES = sorted(DOCS.rglob("*.yaml"))

FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a page; `language` is what stands behind the fence."""

    page: Path
    heading: str
    language: str
    text: str

    @property
    def id(self) -> str:
        """Where the block stands, as the name of its test."""
        return f"{self.page.relative_to(ROOT).as_posix()}: {self.heading}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, each with the heading under which it stands."""
    text = page.read_text()
    for found in FENCED.finditer(text):
        headings = re.findall(r"^#+ (.*)$", text[: found.start()], re.MULTILINE)
        if not found[3].lstrip().startswith("--8<--"):  # a file that is shown has a test of its own
            yield Block(page, headings[-1], found[2], dedent(found[3]))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings: those that are written, and those that MkDocs makes of the text."""
    anchors = set()
    for heading in re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE):
        written = re.search(r"\{ #(\S+) \}$", heading)
        plain = re.sub(r"[^\w\s-]", "", re.sub(r"\]\([^)]*\)", "", heading)).strip().lower()
        anchors.add(written[1] if written else re.sub(r"[-\s]+", "-", plain))
    return anchors | set(re.findall(r"`\{ #(\S+) \}", page.read_text()))


BLOCKS = [
    block
    for page in PAPERS
    if page.parent.name != "reference"  # generated, with a test of its own
    for block in blocks_of(page)
]
CONFIGURATIONS = [
    b for b in BLOCKS if b.language == "yaml" and not b.text.startswith(("apiVersion:", "config:"))
]
PEOPLE = [b for b in BLOCKS if b.language == "yaml" and b.text.startswith("config:")]
MANIFESTS = [b for b in BLOCKS if b.language == "yaml" and b.text.startswith("apiVersion:")]
COMMAND_LINES = [
    pytest.param(line, id=line)
    for block in BLOCKS
    if block.language in {"", "ini", "sh"}
    for line in re.findall(r"^(?:ExecStart=/usr/bin/)?(compartmentd .*)$", block.text, re.MULTILINE)
]


class Files:
    """The example, and the files that it names."""

    def __init__(self, example: str) -> None:
        self.files = {
            "compartments.yaml": example.encode(),
            "events/message.schema.json": b'{"type": "object"}',
            "common/chat.yaml": b"namespaces: {/chat: {connect: authenticated}}",
        }

    def read(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(2, "no such file", path) from None

    def glob(self, pattern: str) -> Sequence[str]:
        return [path for path in self.files if fnmatch(path, pattern)]

    def is_open_to_others(self, path: str) -> bool:
        del path
        return False

    def getenv(self, name: str) -> bytes | None:
        del name
        return None


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=lambda block: block.id)
def test_every_configuration_compiles(block: Block) -> None:
    loaded = load("compartments.yaml", Files(block.text))
    problems = [str(problem) for problem in loaded.problems if problem.severity != "note"]
    assert problems == [], "a missing key file is a note, anything else is a mistake of the example"
    assert loaded.configuration is not None


@pytest.mark.parametrize("block", MANIFESTS, ids=lambda block: block.id)
def test_every_manifest_leads_to_our_service(block: Block) -> None:
    ingress = yaml.safe_load(block.text)
    assert ingress["kind"] == "Ingress"
    everything = (ROOT / "config/kubernetes/compartmentd.yaml").read_text()
    [service] = [one for one in yaml.safe_load_all(everything) if one["kind"] == "Service"]
    backends = [
        path["backend"]["service"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]
    ]
    assert backends
    for backend in backends:
        assert backend["name"] == service["metadata"]["name"]
        assert backend["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]


@pytest.mark.parametrize("block", PEOPLE, ids=lambda block: block.id)
def test_every_test_file_has_people_for_the_playground(block: Block) -> None:
    people = collect_people(read_cases("chat.test.yaml", block.text.encode()))
    assert people.claims
    assert people.rooms


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_command_line_is_one_of_ours(line: str) -> None:
    _, name, *arguments = shlex.split(re.split(" [<>] ", line)[0], comments=True)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    command.make_context(name, arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "js"],
    ids=lambda block: block.id,
)
def test_every_script_is_javascript(tmp_path: Path, block: Block) -> None:
    (tmp_path / "block.mjs").write_text(block.text)
    subprocess.run(["node", "--check", tmp_path / "block.mjs"], check=True)


def test_there_are_examples() -> None:
    assert len(CONFIGURATIONS) >= 10
    assert MANIFESTS
    assert len(COMMAND_LINES) >= 10


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_every_file_that_a_page_shows_compiles(file: Path) -> None:
    loaded = load(str(file), Disk())
    assert [str(problem) for problem in loaded.problems if problem.severity != "note"] == []
    assert loaded.configuration is not None


@pytest.mark.parametrize("page", PAPERS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_a_file_and_to_a_heading(page: Path) -> None:
    outside = re.sub(r"#only-(?:light|dark)\b", "", FENCED.sub("", page.read_text()))
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)", outside):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors_of(file), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAPERS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_files_of_the_repository_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:config|debian|docs|schemas|tests|tools)/[\w./@-]+)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    def walk(item: Any) -> Iterator[str]:
        if isinstance(item, str):
            yield item
        else:
            for part in item.values() if isinstance(item, dict) else item:
                yield from walk(part)

    named = list(walk(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


def test_the_rooms_of_the_documentation_are_these() -> None:
    names = ["Home", "Start", "Concepts", "Guides", "Clients", "Operate", "Reference", "Help"]
    assert [next(iter(part)) for part in yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]] == names
