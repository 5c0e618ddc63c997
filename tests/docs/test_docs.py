"""README and documentation cannot rot: their configurations compile, their tables are those of the code."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import yaml

from compartmentd.analysis.cases import collect_people, read_cases
from compartmentd.cli.main import COMMANDS, cli
from compartmentd.configuration.compiler import load
from compartmentd.policy.codes import MEANINGS
from tests.test_layers import LAYERS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


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
    for found in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        headings = re.findall(r"^#+ (.*)$", text[: found.start()], re.MULTILINE)
        yield Block(page, headings[-1], found[1], found[2])


BLOCKS = [
    block
    for page in PAGES
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


def rows(header: str) -> list[list[str]]:
    """Return the cells of the table whose header row begins so."""
    start = README.index(f"| {header} |")
    table = README[start:].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table]


def test_the_table_of_codes_is_the_table_of_the_code() -> None:
    documented = {row[0].strip("` "): row for row in rows("code")}
    assert set(documented) == {str(code) for code in MEANINGS}
    for code, meaning in MEANINGS.items():
        _, text, retry = documented[str(code)]
        assert text.split(":")[0] == meaning.text, code
        assert (not retry.startswith("no")) is (meaning.retry or meaning.retry_closing), code


def test_the_table_of_commands_is_the_command_line() -> None:
    documented = {re.findall(r"`([a-z-]+)", row[0])[0] for row in rows("command")}
    assert documented == set(COMMANDS)


def test_the_map_names_everything_that_is_there() -> None:
    named = " ".join(row[0] + row[1] for row in rows("where"))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    top = {file.split("/")[0] for file in listed.splitlines() if "/" in file}
    configured = {
        "/".join(f.split("/")[:2])
        for f in listed.splitlines()
        if f.count("/") > 1 and f.startswith("config/")
    }
    parts = {"config/demo", "config/events", "config/keys"}  # of the two configurations
    assert [name for name in (top - {"config"}) | (configured - parts) if f"{name}/" not in named] == []


def test_the_table_of_layers_is_the_one_that_is_held() -> None:
    documented = [set(re.findall(r"`([a-z_]+)/?`", row[1])) for row in rows("layer")]
    assert documented == [set(row.members) - {"__main__"} for row in LAYERS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target
