"""`compartmentd lsp` as an editor starts it: a process, spoken with over stdio by a client that is none of ours."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.language_client import LanguageClient
from tests.support.large_configuration import ROOM

COMMAND = [sys.executable, "-m", "compartmentd", "lsp", "--stdio"]
MAIN = """\
version: 1
include: [parts/*.yaml]
issuers: {corp: {issuer: "https://id.example.com", audience: realtime}}
namespaces:
  /chat:
    connect: {rule: staff}
    rooms:
      "case:{case}": {join: public}
      "file:{case}":
        join: {member_of: "case:{case}"}
"""
PART = "rules:\n  staff: {scope: staff}\n"

pytestmark = pytest.mark.slow


@pytest.fixture
def editor(tmp_path: Path) -> Iterator[LanguageClient]:
    """Start the server in a directory with a configuration of two files."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/rules.yaml").write_text(PART)
    (tmp_path / "compartments.yaml").write_text(MAIN)
    with LanguageClient(COMMAND, tmp_path) as client:
        yield client


def find(text: str, words: str, *, after: int = 0) -> tuple[int, int]:
    """Return the position of words in a text, moved by some characters."""
    at = text.index(words) + after
    return text.count("\n", 0, at), at - text.rfind("\n", 0, at) - 1


def test_it_ends_as_an_editor_ends_it(editor: LanguageClient) -> None:
    assert {"completionProvider", "hoverProvider", "definitionProvider"} <= editor.capabilities.keys()
    assert editor.close() == 0


def test_problems_follow_what_is_typed_in_any_file(editor: LanguageClient) -> None:
    main = editor.open(editor.root / "compartments.yaml")
    editor.wait_for_codes(main)
    part = editor.open(editor.root / "parts/rules.yaml", "rules:\n  crew: {scope: crew}\n")
    [problem] = editor.wait_for_codes(main, "rule.unknown")
    assert (problem["severity"], problem["source"]) == (1, "compartmentd")
    assert problem["range"] == {"start": {"line": 5, "character": 20}, "end": {"line": 5, "character": 25}}
    assert "did you mean" in problem["message"] or "\n" in problem["message"], "the help is shown, too"
    editor.change(part, PART)
    editor.wait_for_codes(main)
    editor.change(part, f"{PART}  broken: [\n")
    editor.wait_for_codes(part, "yaml.syntax")
    editor.change(part, PART)
    editor.wait_for_codes(part)


def test_only_the_last_of_quick_changes_is_told(editor: LanguageClient) -> None:
    main = editor.open(editor.root / "compartments.yaml")
    for length in range(len(MAIN) - 20, len(MAIN)):
        editor.change(main, MAIN[:length])
    editor.change(main, MAIN.replace("version: 1", "version: 3"))
    told = [[problem["code"] for problem in editor.wait_for_problems(main)]]
    editor.change(main, MAIN)
    told.append([problem["code"] for problem in editor.wait_for_problems(main)])
    assert told == [["schema.value"], []]


def test_a_file_that_changes_on_the_disk_is_noticed(editor: LanguageClient) -> None:
    main = editor.open(editor.root / "compartments.yaml")
    editor.wait_for_codes(main)
    assert "workspace/didChangeWatchedFiles" in editor.registered
    part = editor.root / "parts/rules.yaml"
    part.write_text("rules:\n  crew: {scope: crew}\n")
    editor.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": part.as_uri(), "type": 2}]})
    editor.wait_for_codes(main, "rule.unknown")


def test_other_yaml_files_are_left_alone(editor: LanguageClient) -> None:
    other = editor.open(editor.root / "compose.yaml", "services: {}\n")
    main = editor.open(editor.root / "compartments.yaml", "version: 2\n")
    assert editor.wait_for_problems(main) != []
    assert other not in editor.problems
    assert editor.complete(other, 1, 0) == {}
    assert editor.ask("hover", other, 0, 3) is None


def test_a_half_typed_text_completes(editor: LanguageClient) -> None:
    half = MAIN.replace("connect: {rule: staff}", "connect: {rule: ")
    main = editor.open(editor.root / "compartments.yaml", half)
    item = editor.complete(main, *find(half, "{rule: ", after=7))["staff"]
    assert item["textEdit"]["newText"] == "staff"
    assert not editor.ask("completion", main, *find(half, "{rule: ", after=7))["isIncomplete"]
    assert "scope: staff" in item["documentation"]["value"]
    assert "publish" in editor.complete(main, half.count("\n") - 1, 8)


def test_positions_count_utf_16_units(editor: LanguageClient) -> None:
    text = MAIN.replace('"case:{case}": {join: public}', '"😀:{case}": {description: "😀😀", join: pub}')
    main = editor.open(editor.root / "compartments.yaml", text)
    line, column = find(text, "join: pub", after=9)
    wide = column + 3
    item = editor.complete(main, line, wide)["public"]
    assert item["textEdit"]["range"]["start"] == {"line": line, "character": wide - 3}
    [problem] = [each for each in editor.wait_for_problems(main) if each["code"].startswith("schema")]
    assert problem["range"]["start"] == {"line": line, "character": wide - 3}


def test_hover_definition_references_and_symbols(editor: LanguageClient) -> None:
    main = editor.open(editor.root / "compartments.yaml")
    part = (editor.root / "parts/rules.yaml").as_uri()
    place = find(MAIN, "rule: staff", after=7)
    assert "scope: staff" in editor.ask("hover", main, *place)["contents"]["value"]
    [definition] = editor.ask("definition", main, *place)
    assert (definition["uri"], definition["range"]["start"]) == (part, {"line": 1, "character": 2})
    used = editor.ask("references", part_of(editor), 1, 3, context={"includeDeclaration": True})
    assert [(each["uri"], each["range"]["start"]["line"]) for each in used] == [(part, 1), (main, 5)]
    [room] = editor.ask("definition", main, *find(MAIN, 'member_of: "case', after=13))
    assert room["range"]["start"]["line"] == 7
    symbols: list[Any] = editor.request("textDocument/documentSymbol", {"textDocument": {"uri": main}})
    [space] = symbols[3]["children"]
    assert [symbols[3]["name"], space["name"]] == ["namespaces", "/chat"]
    assert [child["name"] for child in space["children"]] == ["case:{case}", "file:{case}"]


def part_of(editor: LanguageClient) -> str:
    return editor.open(editor.root / "parts/rules.yaml")


def test_a_thousand_rules_answer_within_a_second(tmp_path: Path) -> None:
    rules = "".join(f'  rule-{n}: {{claim: roles, contains: "role-{n}"}}\n' for n in range(500))
    rooms = "".join(ROOM.format(n=n) for n in range(250))
    text = (
        f"version: 1\nrules:\n  r: public\n{rules}namespaces:\n  /:\n    connect: public\n    rooms:\n{rooms}"
    )
    with LanguageClient(COMMAND, tmp_path) as editor:
        main = editor.open(tmp_path / "compartments.yaml", text)
        assert editor.wait_for_problems(main) == []
        half = text.replace("connect: public", "connect: {rule: rule-49")
        place = find(half, "{rule: ", after=14)
        took = []
        for number in range(3):
            editor.change(main, f"{half}# {number}\n")
            begun = time.monotonic()
            answer = editor.ask("completion", main, *place)
            took.append(time.monotonic() - begun)
            assert answer["isIncomplete"], "the editor asks again when more is typed"
            assert {item["label"] for item in answer["items"]} == {
                f"rule-{n}" for n in (49, *range(490, 500))
            }
        assert min(took) < 1
        print(f"completion in {min(took):.2f} s")
