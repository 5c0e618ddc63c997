"""yaml-language-server, which most editors use for YAML, with the schema that `compartmentd schema` prints.

The oldest that is common (1.x, which runs on Debian's Node) and the newest (on the Node of an npm package) are
asked what an editor asks: completion, hover and diagnostics, over stdio.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from compartmentd.cli.main import cli
from tests.support.language_client import LanguageClient
from tests.support.provider import NODE

MODULES = Path(__file__).parents[1] / "support/editors/node_modules"
SERVERS = {
    "1": (shutil.which("node") or "node", "yaml-language-server-1"),
    "2": (NODE, "yaml-language-server"),
}
MODELINE = "# yaml-language-server: $schema=compartmentd.schema.json\n"
NAMESPACE = "version: 1\nnamespaces:\n  /chat:\n    "
SETTINGS = {
    "yaml": {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False, "url": ""}}
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=SERVERS)
def editor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LanguageClient]:
    """Start a server in a directory that holds the printed schema."""
    root = tmp_path_factory.mktemp("editor")
    (root / "compartmentd.schema.json").write_text(CliRunner().invoke(cli, ["schema"]).stdout)
    node, package = SERVERS[request.param]
    command = [str(node), str(MODULES / package / "bin/yaml-language-server"), "--stdio"]
    with LanguageClient(command, root, settings=SETTINGS) as client:
        yield client


def open_at_mark(editor: LanguageClient, text: str) -> tuple[str, int, int]:
    """Open a file of this text; `|` marks the position."""
    before, _, after = (MODELINE + text).partition("|")
    uri = editor.open(editor.root / f"{abs(hash(text))}.yaml", before + after)
    return uri, before.count("\n"), len(before) - before.rfind("\n") - 1


RULE_WORDS = {"public", "authenticated", "nobody", "members", "server"}
TESTS = {"equals", "one_of", "matches", "contains", "contains_any", "at_least", "at_most", "exists", "is"}


@pytest.mark.parametrize(
    ("text", "offered", "left_out"),
    [
        ("|", {"version", "server", "issuers", "rules", "limits", "namespaces"}, set()),
        ("version: 1\nserver:\n  |", {"listen", "watch"}, set()),
        ("version: 1\nissuers:\n  corp:\n    use: [|]", {"connect", "admin"}, set()),
        (f"{NAMESPACE}connect: |", RULE_WORDS, {"equals"}),
        (f"{NAMESPACE}connect: pub|", {"public"}, set()),
        (f"{NAMESPACE}connect:\n      |", {"scope", "claim", "all", "rule"}, {"object"}),
        (f"{NAMESPACE}connect:\n      all:\n        - |", RULE_WORDS | {"scope", "not"}, set()),
        (f"{NAMESPACE}connect:\n      claim: roles\n      |", TESTS, {"scope", "all"}),
        (f'{NAMESPACE}connect: public\n    rooms:\n      "a:{{b}}":\n        join: |\n', RULE_WORDS, set()),
    ],
)
def test_it_completes_what_can_be_written(
    editor: LanguageClient, text: str, offered: set[str], left_out: set[str]
) -> None:
    items = editor.complete(*open_at_mark(editor, text))
    assert set(items) >= offered
    assert not set(items) & left_out
    assert not any("object" in label for label in items), "an alternative without a name"


@pytest.mark.parametrize("key", ["server", "limits"])
def test_a_mapping_completes_to_its_key_alone(editor: LanguageClient, key: str) -> None:
    item = editor.complete(*open_at_mark(editor, "version: 1\n|"))[key]
    assert (item.get("insertText") or item["textEdit"]["newText"]).split() == [f"{key}:"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 1\nserver:\n  ping_interval: 25\n", "such as `30s`"),
        ("version: 1\nserver:\n  listen: [localhost]\n", "this is not an address: write `HOST:PORT`"),
        (f"{NAMESPACE}connect: everyone\n", "this is not a rule: write `public`"),
        (f"{NAMESPACE}connect: {{claim: roles}}\n", "`claim` has exactly one test beside it"),
        (
            f"{NAMESPACE}connect: {{claim: a, equals: b, is: past}}\n",
            "`claim` has exactly one test beside it",
        ),
        (f"{NAMESPACE}connect: {{scope: a, rule: b}}\n", "a rule has exactly one kind"),
        (f"{NAMESPACE}conect: public\n", "conect"),
    ],
)
def test_a_problem_can_be_read(editor: LanguageClient, text: str, words: str) -> None:
    uri, *_ = open_at_mark(editor, text)
    messages = [problem["message"] for problem in editor.wait_for_problems(uri)]
    assert any(words in message for message in messages), messages
    assert not any("pattern" in message or "^" in message for message in messages), messages


def test_a_right_file_has_no_problem(editor: LanguageClient) -> None:
    uri, *_ = open_at_mark(editor, (Path(__file__).parents[2] / "config/compartments.yaml").read_text())
    assert editor.wait_for_problems(uri) == []


def test_hover_shows_what_a_key_does_and_its_default(editor: LanguageClient) -> None:
    uri, line, character = open_at_mark(editor, "version: 1\nserver:\n  ping_|interval: 20s\n")
    shown = editor.ask("hover", uri, line, character)["contents"]["value"]
    assert "How often a connection is pinged" in shown
    assert "Default: `25s`" in shown
