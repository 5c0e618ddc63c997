"""Putting a kept configuration back: all of it, or none; and nothing that lay there is lost."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from compartmentd.configuration.compiler import Contents, load
from compartmentd.errors import UsageError
from compartmentd.storage.files import Disk
from compartmentd.storage.generations import GenerationStore
from compartmentd.storage.generations.restore import Restoration, carry_out, plan_restoration

MAIN = 'version: 1\ninclude: ["parts/*.yaml"]\nnamespaces: {/: {connect: public}}\n'


class Place:
    """A configuration of two files that was kept, and its history."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "c.yaml"
        (root / "state").mkdir()
        (root / "parts").mkdir()
        self.write("c.yaml", MAIN)
        self.write("parts/a.yaml", "namespaces: {/a: {connect: public}}\n")
        self.history = GenerationStore(str(root / "state"))
        self.kept: Contents = load(str(self.path), Disk()).contents
        self.history.store(self.kept, 1, accepted=True)

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def plan(self) -> Restoration:
        return plan_restoration(str(self.path), self.kept, Disk())

    def restore(self) -> Restoration:
        restoration = self.plan()
        carry_out(restoration, self.history, 2)
        return restoration

    def files(self) -> dict[str, str]:
        return {
            path.relative_to(self.root).as_posix(): path.read_text()
            for path in self.root.rglob("*")
            if path.is_file() and "state" not in path.parts
        }

    def is_restored(self) -> bool:
        return load(str(self.path), Disk()).contents == self.kept


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path)
    assert [path for path in tmp_path.rglob(".*.new") if path.name != ".new"] == [], (
        "temporary files are left"
    )


def test_nothing_to_do(place: Place) -> None:
    restoration = place.plan()
    assert not restoration.changes
    assert restoration.doubts == ()


@pytest.mark.parametrize("broken", ["version: [", MAIN.replace("public", "nobody")])
def test_a_changed_main_file_is_put_back_without_a_doubt(place: Place, broken: str) -> None:
    place.write("c.yaml", broken)
    restoration = place.restore()
    assert list(restoration.writes) == [str(place.path)]
    assert restoration.doubts == ()
    assert place.is_restored()


def test_what_lay_there_is_kept_and_can_be_put_back(place: Place) -> None:
    place.write("c.yaml", "version: [")
    place.write("parts/a.yaml", "broken: [")
    before = place.files()
    place.restore()
    newest = place.history.list_entries()[0]
    assert not newest.accepted
    forward = plan_restoration(str(place.path), place.history.read(newest), Disk())
    assert "it does not check" in forward.doubts
    carry_out(forward, place.history, 3)
    assert place.files() == before


def test_what_is_kept_already_is_not_kept_again(place: Place) -> None:
    place.write("c.yaml", MAIN.replace("public", "nobody"))
    place.history.store(load(str(place.path), Disk()).contents, 1.5, accepted=True)
    place.restore()
    assert len(place.history.list_entries()) == 2


def test_missing_files_and_directories_are_made(place: Place) -> None:
    place.path.chmod(0o640)
    (place.root / "parts/a.yaml").unlink()
    (place.root / "parts").rmdir()
    place.restore()
    assert place.is_restored()
    assert stat.S_IMODE((place.root / "parts/a.yaml").stat().st_mode) == 0o640, "like the main file"


def test_a_missing_main_file_is_made(place: Place) -> None:
    place.path.unlink()
    place.restore()
    assert place.is_restored()


def test_permissions_stay(place: Place) -> None:
    place.path.chmod(0o604)
    place.write("c.yaml", "version: [")
    place.restore()
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o604


def test_a_link_stays_a_link(place: Place) -> None:
    (place.root / "real").mkdir()
    place.path.rename(place.root / "real/c.yaml")
    place.path.symlink_to("real/c.yaml")
    place.write("c.yaml", "version: [")
    place.restore()
    assert place.path.is_symlink()
    assert place.is_restored()


def test_a_file_that_the_restored_include_would_find_is_a_doubt(place: Place) -> None:
    place.write("parts/later.yaml", "namespaces: {/later: {connect: public}}\n")
    place.write("parts/.hidden.yaml", "x")
    restoration = place.plan()
    assert restoration.deletes == (str(place.root / "parts/later.yaml"),)
    assert ["later.yaml` would be deleted" in doubt for doubt in restoration.doubts] == [True]
    place.restore()
    assert place.is_restored()
    assert place.files()["parts/.hidden.yaml"] == "x"
    assert ("parts/later.yaml", b"namespaces: {/later: {connect: public}}\n") in place.history.read(
        place.history.list_entries()[0]
    )


def test_a_file_that_is_not_used_now_is_a_doubt(place: Place) -> None:
    place.write("c.yaml", "version: 1\nnamespaces: {/: {connect: public}}\n")
    place.write("parts/a.yaml", "somebody's notes")
    restoration = place.plan()
    assert ["a.yaml` would be overwritten" in doubt for doubt in restoration.doubts] == [True]


@pytest.mark.parametrize("name", ["../outside.json", "{root}/outside.json", "link/outside.json"])
def test_a_new_file_outside_of_the_configurations_directory_is_a_doubt(place: Place, name: str) -> None:
    (place.root / "configuration").mkdir()
    (place.root / "configuration/link").symlink_to(place.root)
    path = str(place.root / "configuration/c.yaml")
    named = name.format(root=place.root)
    open_to_all = "connect: public, publish: public"
    text = f"version: 1\nnamespaces: {{/: {{{open_to_all}, events: {{e: {{schema: {named}}}}}}}}}\n"
    restoration = plan_restoration(path, (("c.yaml", text.encode()), (named, b"{}")), Disk())
    assert restoration.problems == ()
    assert ["outside the configuration's directory" in doubt for doubt in restoration.doubts] == [True]


def test_of_another_name_is_not_put_in_its_place(place: Place) -> None:
    with pytest.raises(UsageError, match=r"c\.yaml.*other\.yaml"):
        plan_restoration(str(place.root / "other.yaml"), place.kept, Disk())


@pytest.mark.parametrize("failing", ["first write", "second write", "first name", "second name", "delete"])
def test_what_fails_on_the_way_leaves_everything(
    place: Place, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    place.write("c.yaml", "version: [")
    place.write("parts/a.yaml", "broken: [")
    place.write("parts/later.yaml", "later")
    before = place.files()
    restoration = place.plan()
    number, _, step = failing.rpartition(" ")
    function = {"write": "fchmod", "name": "replace", "delete": "unlink"}[step]
    real = getattr(os, function)
    # Keeping what lies there gives a name of its own, first.
    count = {"first": 1, "second": 2, "": 1}[number] + (step == "name")
    calls = 0

    def fails(*arguments: object, **named: object) -> None:
        nonlocal calls
        calls += 1
        if calls == count:
            raise OSError(28, "No space left on device")
        real(*arguments, **named)

    monkeypatch.setattr(os, function, fails)
    with pytest.raises(OSError, match="No space"):
        carry_out(restoration, place.history, 2)
    monkeypatch.undo()
    assert place.files() == before


def test_if_what_lies_there_cannot_be_kept_nothing_is_done(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("c.yaml", "version: [")
    restoration = place.plan()

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GenerationStore, "store", fails)
    with pytest.raises(OSError, match="No space"):
        carry_out(restoration, place.history, 2)
    assert place.path.read_text() == "version: ["
