"""Who has a file open for writing: as the kernel says, as events say, and where neither does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from watchdog.events import (
    FileClosedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
)

from compartmentd.storage.watcher import writers as writers_module
from compartmentd.storage.watcher.writers import (
    MOST_UNCLOSED,
    Writers,
    ask_for_lease,
    read_marks,
    was_written,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "compartments.yaml"
    path.write_text("version: 1\n")
    return path


@pytest.fixture
def _no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer as the kernel answers a process that does not own the file, like the daemon of the systemd unit."""
    monkeypatch.setattr(writers_module, "ask_for_lease", lambda _: None)


@contextmanager
def reading(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# --- the kernel's answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["w", "a", "r+"])
def test_the_kernel_knows_a_writer(file: Path, mode: str) -> None:
    with reading(file) as descriptor:
        assert ask_for_lease(descriptor) is False
        with file.open(mode):
            assert ask_for_lease(descriptor) is True
        assert ask_for_lease(descriptor) is False


def test_a_reader_is_no_writer(file: Path) -> None:
    with reading(file) as descriptor, file.open():
        assert ask_for_lease(descriptor) is False


def test_nothing_is_left_behind_that_holds_up_a_writer(file: Path) -> None:
    with reading(file) as descriptor:
        ask_for_lease(descriptor)
        # With a lease on it, this would fail instead of waiting.
        os.close(os.open(file, os.O_WRONLY | os.O_NONBLOCK))


def test_what_has_no_leases_says_nothing(tmp_path: Path) -> None:
    with reading(tmp_path) as descriptor:
        assert ask_for_lease(descriptor) is None


def test_the_kernel_is_believed_more_than_events(file: Path) -> None:
    writers = Writers()
    writers.take_event(FileModifiedEvent(str(file)))
    assert writers.find_open([str(file)]) == []
    with file.open("a"):
        writers.take_event(FileClosedEvent(str(file)))  # of another writer
        assert writers.find_open([str(file)]) == [str(file)]


# --- events -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_lease")
@pytest.mark.parametrize(
    ("events", "is_open"),
    [
        ([], False),
        ([FileModifiedEvent("F")], True),
        ([FileModifiedEvent("F"), FileModifiedEvent("F")], True),
        ([FileModifiedEvent("F"), FileClosedEvent("F")], False),
        ([FileModifiedEvent("F"), FileClosedEvent("F"), FileModifiedEvent("F")], True),
        ([FileModifiedEvent("other")], False),
        ([FileModifiedEvent("F"), FileDeletedEvent("F")], False),
        # A program that renames what it still writes, and one that has closed it before.
        ([FileModifiedEvent("aside"), FileMovedEvent("aside", "F")], True),
        ([FileModifiedEvent("aside"), FileClosedEvent("aside"), FileMovedEvent("aside", "F")], False),
        # What was written is gone, whatever its writer goes on to do.
        ([FileModifiedEvent("F"), FileMovedEvent("aside", "F")], False),
        ([FileModifiedEvent("F"), FileMovedEvent("F", "elsewhere")], False),
    ],
)
def test_events_tell(file: Path, events: list[FileSystemEvent], is_open: bool) -> None:
    def place(name: str | bytes) -> str:
        return str(file) if name == "F" else os.fsdecode(name) and str(file.with_name(os.fsdecode(name)))

    writers = Writers()
    for event in events:
        writers.take_event(type(event)(place(event.src_path), place(event.dest_path)))
    assert writers.find_open([str(file)]) == [str(file)] * is_open


@pytest.mark.usefixtures("_no_lease")
def test_events_name_the_file_that_a_link_leads_to(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    writers = Writers()
    writers.take_event(FileModifiedEvent(str(file)))
    assert writers.find_open([str(link)]) == [str(link)]


@pytest.mark.usefixtures("_no_lease")
def test_an_empty_file_has_been_created_and_not_filled(file: Path) -> None:
    file.write_text("")
    assert Writers().find_open([str(file)]) == [str(file)]


@pytest.mark.usefixtures("_no_lease")
def test_other_programs_files_fill_nothing(file: Path) -> None:
    writers = Writers()
    for number in range(2 * MOST_UNCLOSED):
        writers.take_event(FileModifiedEvent(str(file.with_name(f"{number}.log"))))
    assert len(writers._unclosed) == MOST_UNCLOSED


# --- neither ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_lease")
def test_without_events_what_was_changed_lately_may_still_be_written(file: Path) -> None:
    writers = Writers()
    writers.take_changes({str(file): {str(file)}}, without_events=True)
    assert writers.find_open([str(file)]) == [str(file)]
    os.utime(file, (0, 0))
    assert writers.find_open([str(file)]) == [], "it was changed long ago"


@pytest.mark.usefixtures("_no_lease")
def test_a_change_without_an_event_was_made_elsewhere(file: Path) -> None:
    writers = Writers()
    writers.take_changes({str(file): {str(file)}}, without_events=False)
    assert writers.find_open([str(file)]) == [str(file)]
    writers.take_event(FileModifiedEvent(str(file)))
    writers.take_event(FileClosedEvent(str(file)))
    writers.take_changes({}, without_events=False)
    assert writers.find_open([str(file)]) == [], "it was heard of since"


# --- silence ------------------------------------------------------------------------------------------------


def test_a_silent_writer_is_not_waited_for(file: Path) -> None:
    writers = Writers(silence=0.0)
    with file.open("a"):
        assert writers.find_open([str(file)]) == []


def test_silence_counts_from_the_last_change(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(writers_module.time, "monotonic", lambda: now[0])
    writers = Writers()
    with file.open("a") as writer:
        for pause in (3.0, 4.0, 5.0):
            _write(writer, "# more\n")
            assert writers.find_open([str(file)]) == [str(file)]
            now[0] += pause
            assert writers.find_open([str(file)]) == [str(file)], "it wrote less than 10 s ago"
        now[0] += 10.0
        assert writers.find_open([str(file)]) == []
        _write(writer, "# again\n")
        assert writers.find_open([str(file)]) == [str(file)]


def test_a_clock_that_jumps_does_not_prolong_silence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(writers_module.time, "monotonic", lambda: now[0])
    writers = Writers()
    with file.open("a"):
        os.utime(file, (2**33, 2**33))  # a time in the future
        assert writers.find_open([str(file)]) == [str(file)]
        now[0] += 10.0
        assert writers.find_open([str(file)]) == []


# --- what was written while it was read ---------------------------------------------------------------------


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("# more\n")


def _rewrite(path: Path) -> None:
    path.write_text("version: 2\n")
    os.utime(path, (1, 1))  # the same size at another time


def _rename_over(path: Path) -> None:
    aside = path.with_name("aside")
    aside.write_text("version: 2\n# more\n")
    aside.replace(path)


@pytest.mark.parametrize(
    ("act", "written"),
    [(_append, True), (_rewrite, True), (_rename_over, False), (Path.unlink, False), (Path.read_text, False)],
)
def test_writing_in_place_leaves_a_mark(file: Path, act: Callable[[Path], object], written: bool) -> None:
    before = read_marks([str(file), str(file.parent / "missing")])
    act(file)
    assert was_written(before, read_marks([str(file)])) is written


def _missing(path: Path) -> None:
    path.unlink()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("become", [_missing, _directory, _pipe])
def test_what_is_no_file_is_not_written(file: Path, become: Callable[[Path], None]) -> None:
    writers = Writers()
    become(file)
    writers.take_event(FileModifiedEvent(str(file)))
    assert writers.find_open([str(file), "a\0b"]) == []


def _write(writer: IO[str], text: str) -> None:
    writer.write(text)
    writer.flush()
