"""Which configuration an opened file belongs to, and what its files hold: unsaved texts go before the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from compartmentd.cli.check import find_problems
from compartmentd.cli.editor_files import EditorFiles, Overlay

MAIN = """\
version: 1
include: [parts/*.yaml]
issuers: {corp: {issuer: "https://id.example.com", audience: realtime}}
namespaces:
  /a: {connect: {rule: staff}}
"""
PART = "rules:\n  staff: {scope: staff}\n"


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """Write a main file and one that it includes."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/rules.yaml").write_text(PART)
    path = tmp_path / "chat.yaml"
    path.write_text(MAIN)
    return path


def test_an_included_file_belongs_to_its_main_file(main: Path) -> None:
    part = main.parent / "parts/rules.yaml"
    found = EditorFiles().open(str(part), Overlay({}))
    assert found is not None
    assert (found.main, found.included) == (str(main), True)
    assert [rule.name for rule in found.names.rules] == ["staff"]
    assert [space.name for space in found.names.namespaces] == ["/a"]


def test_a_main_file_belongs_to_itself(main: Path) -> None:
    found = EditorFiles().open(str(main), Overlay({}))
    assert found is not None
    assert (found.main, found.included) == (str(main), False)
    assert [rule.name for rule in found.names.rules] == ["staff"]


def test_another_yaml_file_belongs_to_none(main: Path) -> None:
    other = main.parent / "compose.yaml"
    other.write_text("services: {}\n")
    assert EditorFiles().open(str(other), Overlay({})) is None
    assert EditorFiles().open(str(main.parent / "absent.yaml"), Overlay({})) is None


def test_the_main_file_can_be_given(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = main.parent / "one/two/three/four"
    far.mkdir(parents=True)
    (far / "rules.yaml").write_text(PART)
    main.write_text(MAIN.replace("parts/*.yaml", "one/two/three/four/*.yaml"))
    path = str(far / "rules.yaml")
    assert EditorFiles().find_main(path, Overlay({})) is None
    monkeypatch.chdir(main.parent)
    assert EditorFiles("chat.yaml").find_main(path, Overlay({})) == str(main)
    assert EditorFiles().find_main(path, Overlay({str(main): main.read_text()})) == str(main), "it is open"


def test_an_unsaved_text_goes_before_the_disk(main: Path) -> None:
    part = str(main.parent / "parts/rules.yaml")
    overlay = Overlay({part: "rules:\n  crew: {scope: crew}\n"})
    assert [problem.code for problem in find_problems(str(main), overlay)] == ["rule.unknown"]
    assert find_problems(str(main), Overlay({})) == ()


def test_a_file_that_was_never_saved_is_included(main: Path) -> None:
    new = str(main.parent / "parts/new.yaml")
    (main.parent / "parts/rules.yaml").unlink()
    overlay = Overlay({new: PART, str(main.parent / "new.yaml"): "rules: {}\n"})
    assert find_problems(str(main), overlay) == ()
    found = EditorFiles().open(new, overlay)
    assert found is not None
    assert found.main == str(main)


def test_a_text_is_read_again_only_when_it_changes(main: Path) -> None:
    files, path = EditorFiles(), str(main)
    first, again, other = (
        files.open(path, Overlay(texts)) for texts in ({}, {path: MAIN}, {path: f"{MAIN}# changed\n"})
    )
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.root is again.root
    assert other.root is not first.root
