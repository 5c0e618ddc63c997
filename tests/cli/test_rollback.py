"""`compartmentd rollback`: what it lists, what it restores, and what it asks about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compartmentd.cli.main import cli
from compartmentd.configuration.compiler import load
from compartmentd.errors import UsageError
from compartmentd.storage.files import Disk
from compartmentd.storage.generations import GenerationStore

OLD = "version: 1\nserver: {state: state}\nnamespaces: {/old: {connect: public}}\n"
NEW = OLD.replace("/old", "/new")


class Place:
    def __init__(self, root: Path) -> None:
        self.path = root / "c.yaml"
        self.history = GenerationStore(str(root / "state"))
        (root / "state").mkdir()
        self.path.write_text(OLD)
        for at, text in enumerate((OLD, NEW), 1):
            self.path.write_text(text)
            self.history.store(load(str(self.path), Disk()).contents, at, accepted=True)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["rollback", "-c", str(self.path), *arguments])

    def refused(self, *arguments: str) -> str:
        error = self.run(*arguments).exception
        assert isinstance(error, UsageError)
        return str(error)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_it_lists_what_was_in_force(place: Place) -> None:
    done = place.run()
    assert done.exit_code == 0
    newest, oldest = done.output.splitlines()
    assert newest.startswith("  1  1970-01-0")
    assert newest.endswith("was in force, 1 file, the same as on the disk")
    assert oldest.endswith("was in force, 1 file")
    listed = json.loads(place.run("--format", "json").output)
    assert [(one["number"], one["at"], one["on_disk"], one["files"], one["damage"]) for one in listed] == [
        (1, 2000, True, ["c.yaml"], None),
        (2, 1000, False, ["c.yaml"], None),
    ]


@pytest.mark.parametrize("by", ["number", "digest", "prefix"])
def test_it_restores_by_number_and_by_digest(place: Place, by: str) -> None:
    digest = place.history.list_entries()[1].digest
    done = place.run({"number": "2", "digest": digest, "prefix": digest[:8].upper()}[by])
    assert done.exit_code == 0
    assert f"restored {place.path}" in done.output
    assert place.path.read_text() == OLD


def test_it_works_on_a_broken_file(place: Place) -> None:
    place.path.write_text(NEW + "broken: [")
    assert place.run("1").exit_code == 0
    assert place.path.read_text() == NEW
    assert place.run("1").exit_code == 1, "the broken one is the newest now; it does not check"
    assert place.path.read_text() == NEW
    assert place.run("1", "--yes").exit_code == 0
    assert place.path.read_text() == NEW + "broken: ["


def test_where_the_file_says_nothing_the_state_directory_is_named(place: Place) -> None:
    place.path.write_text("broken: [")
    assert "--state" in place.refused("1")
    assert place.run("1", "--state", str(place.history.directory.parent)).exit_code == 0
    assert place.path.read_text() == NEW


def test_the_difference_is_shown_and_nothing_changed(place: Place) -> None:
    done = place.run("2", "--diff")
    assert done.exit_code == 0
    assert "-namespaces: {/new: {connect: public}}" in done.output.splitlines()
    assert "+namespaces: {/old: {connect: public}}" in done.output.splitlines()
    assert place.path.read_text() == NEW


def test_nothing_to_do_is_said(place: Place) -> None:
    assert "nothing to do" in place.run("1").output


def test_what_would_be_deleted_is_asked_about(place: Place) -> None:
    text = OLD.replace("version: 1", 'version: 1\ninclude: ["*.part.yaml"]')
    place.path.write_text(text)
    place.history.store(load(str(place.path), Disk()).contents, 3, accepted=True)
    extra = place.path.with_name("x.part.yaml")
    extra.write_text("namespaces: {/x: {connect: public}}\n")
    done = place.run("1")
    assert done.exit_code == 1
    assert "x.part.yaml` would be deleted" in done.output
    assert extra.exists()
    answer = json.loads(place.run("1", "--format", "json").output)
    assert (answer["ok"], answer["deleted"]) == (False, [str(extra)])
    assert place.run("1", "--yes").exit_code == 0
    assert not extra.exists()


def test_a_file_that_neither_configuration_uses_is_asked_about(place: Place) -> None:
    contents = (*load(str(place.path), Disk()).contents, ("stray.yaml", b"version: 1\n"))
    place.history.store(contents, 3, accepted=True)
    stray = place.path.with_name("stray.yaml")
    done = place.run("1")
    assert done.exit_code == 1
    assert "stray.yaml` would be written, although neither configuration uses it" in done.output
    assert not stray.exists()
    assert place.run("1", "--yes").exit_code == 0
    assert stray.exists()


def test_what_is_damaged_is_listed_and_not_restored(place: Place) -> None:
    path = place.history.directory / place.history.list_entries()[1].file
    path.write_bytes(path.read_bytes()[:-3])
    assert "damaged: it is incomplete" in place.run().output
    assert "cannot be restored" in place.refused("2")
    assert place.path.read_text() == NEW


@pytest.mark.parametrize("version", ["0", "3", "abc", "zzzz", "-"])
def test_what_is_not_there_is_wrong_usage(place: Place, version: str) -> None:
    assert "no stored configuration" in place.refused("--", version)


def test_nothing_kept_yet_is_said(place: Place) -> None:
    for entry in place.history.list_entries():
        (place.history.directory / entry.file).unlink()
    assert "contains no configuration yet" in place.run().output


def test_a_place_that_cannot_be_written_is_one_line(place: Place) -> None:
    place.path.with_name(".c.yaml.new").mkdir()
    try:
        assert "nothing was changed" in place.refused("2")
    finally:
        place.path.with_name(".c.yaml.new").rmdir()
    assert place.path.read_text() == NEW
