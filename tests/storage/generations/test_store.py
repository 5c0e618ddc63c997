"""Kept configurations: the last ten, whole, or known to be damaged."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

from compartmentd.configuration.compiler import Contents, compute_digest
from compartmentd.storage.generations import DamagedGeneration, GenerationStore
from compartmentd.storage.generations.store import DIRECTORY, KEEP, TEMPORARY


def files(text: str) -> Contents:
    return (("c.yaml", text.encode()), ("parts/a.yaml", b"a"), ("\udcff.json", b"\xff\x00"))


@pytest.fixture
def history(tmp_path: Path) -> GenerationStore:
    return GenerationStore(str(tmp_path))


def test_nothing_is_kept_at_first(history: GenerationStore) -> None:
    assert history.list_entries() == ()


def test_what_was_kept_is_found(history: GenerationStore) -> None:
    first = history.store(files("one"), 1.5, accepted=True)
    second = history.store(files("two"), 2.5, accepted=False)
    assert history.list_entries() == (second, first)
    assert (first.at, first.digest, first.accepted) == (1500, compute_digest(files("one")), True)
    assert (second.at, second.accepted) == (2500, False)
    assert history.read(first) == files("one")
    assert history.read(second) == files("two")


def test_it_is_for_the_daemon_alone(history: GenerationStore) -> None:
    entry = history.store(files("one"), 1, accepted=True)
    assert stat.S_IMODE(history.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((history.directory / entry.file).stat().st_mode) == 0o600
    assert [path.name for path in history.directory.iterdir()] == [entry.file]


def test_the_last_ten_of_each_kind_are_kept(history: GenerationStore) -> None:
    for number in range(KEEP + 5):
        history.store(files(f"in force {number}"), number, accepted=True)
    for number in range(KEEP + 2):
        history.store(files(f"replaced {number}"), 100 + number, accepted=False)
    kept = {
        accepted: [e for e in history.list_entries() if e.accepted is accepted] for accepted in (True, False)
    }
    assert [len(each) for each in kept.values()] == [KEEP, KEEP]
    assert history.read(kept[True][0]) == files(f"in force {KEEP + 4}")
    assert history.read(kept[True][-1]) == files("in force 5")


def test_what_comes_into_force_again_is_kept_once_as_the_newest(history: GenerationStore) -> None:
    for at, text in enumerate(["one", "two", "one"]):
        history.store(files(text), at, accepted=True)
    assert [history.read(entry)[0][1] for entry in history.list_entries()] == [b"one", b"two"]


def test_a_clock_that_was_set_back_does_not_change_the_order(history: GenerationStore) -> None:
    history.store(files("one"), 5000, accepted=True)
    history.store(files("two"), 10, accepted=True)
    history.store(files("three"), -10, accepted=True)
    assert [history.read(entry)[0][1] for entry in history.list_entries()] == [b"three", b"two", b"one"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_on_the_way_leaves_the_old(
    history: GenerationStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    old = history.store(files("one"), 1, accepted=True)

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fails)
    with pytest.raises(OSError, match="No space"):
        history.store(files("two"), 2, accepted=True)
    monkeypatch.undo()
    assert history.list_entries() == (old,)
    history.store(files("two"), 2, accepted=True)
    assert len(history.list_entries()) == 2


def test_other_files_are_no_entries(history: GenerationStore) -> None:
    history.store(files("one"), 1, accepted=True)
    (history.directory / TEMPORARY).write_bytes(b"half")
    (history.directory / "notes.txt").touch()
    assert len(history.list_entries()) == 1


def test_every_cut_is_noticed(history: GenerationStore) -> None:
    entry = history.store(files("one"), 1, accepted=True)
    path = history.directory / entry.file
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedGeneration):
            history.read(entry)


def test_every_changed_byte_of_a_file_is_noticed(history: GenerationStore) -> None:
    entry = history.store(files("private words"), 1, accepted=True)
    path = history.directory / entry.file
    path.write_bytes(path.read_bytes().replace(b"private", b"Private"))
    with pytest.raises(DamagedGeneration, match="digest") as damage:
        history.read(entry)
    assert "rivate" not in str(damage.value)


@given(content=st.binary())
def test_any_bytes_are_damaged(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    history = GenerationStore(str(tmp_path_factory.mktemp("state")))
    entry = history.store(files("one"), 1, accepted=True)
    (history.directory / entry.file).write_bytes(content)
    with pytest.raises(DamagedGeneration):
        history.read(entry)


def test_of_another_version_it_is_not_read(history: GenerationStore) -> None:
    entry = history.store(files("one"), 1, accepted=True)
    path = history.directory / entry.file
    path.write_bytes(msgspec.msgpack.encode({"version": 2, "files": []}))
    with pytest.raises(DamagedGeneration, match="version 2"):
        history.read(entry)


def test_a_link_or_a_directory_is_damaged_and_goes_like_another(history: GenerationStore) -> None:
    entry = history.store(files("one"), 1, accepted=True)
    (history.directory / entry.file).unlink()
    (history.directory / entry.file).mkdir()
    with pytest.raises(DamagedGeneration):
        history.read(entry)


def test_what_an_administrator_writes_belongs_to_the_daemon(
    history: GenerationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[bool, int, int]] = []

    def fchown(descriptor: int, user: int, group: int) -> None:
        given.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), user, group))

    owner = history.directory.parent.stat()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", fchown)
    history.store(files("one"), 1, accepted=True)
    assert given == [(True, owner.st_uid, owner.st_gid), (False, owner.st_uid, owner.st_gid)]


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_a_link_in_the_place_of_what_is_written_leads_nowhere(
    tmp_path: Path, history: GenerationStore, link: str
) -> None:
    history.store(files("one"), 1, accepted=True)
    other = tmp_path / "other"
    other.write_text("untouched")
    if link == "symbolic":
        (history.directory / TEMPORARY).symlink_to(other)
    else:
        (history.directory / TEMPORARY).hardlink_to(other)
    history.store(files("two"), 2, accepted=True)
    assert other.read_text() == "untouched"
    assert len(history.list_entries()) == 2


def test_a_link_in_the_directorys_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / DIRECTORY).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        GenerationStore(str(tmp_path)).store(files("one"), 1, accepted=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_file_in_the_directorys_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / DIRECTORY).touch()
    with pytest.raises(OSError, match="Not a directory"):
        GenerationStore(str(tmp_path)).list_entries()
