"""Real files, real events: what editors, package managers, Kubernetes and administrators do to them."""

# ruff: noqa: ASYNC240 - small files of the tests' own; the watcher's work is in its thread

from __future__ import annotations

import asyncio
import errno
import glob
import itertools
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers import Observer

from compartmentd.storage.watcher import Watcher
from compartmentd.storage.watcher.content import ABSENT, hash_content
from compartmentd.storage.watcher.pace import Pace
from compartmentd.storage.watcher.trail import Links, find_last_change, find_search_base, follow_path
from tests.support.timing import within

SOON = 30
"""Seconds in which a change must be told; a deadline, not a wait."""

BY_EVENTS = Pace(quiet=0.05, longest=0.3, poll=3600.0)
"""No poll: what is told came by an event."""

BY_POLL = Pace(poll=0.05)
"""With this there are no events at all: what is told came by the poll."""


def no_more_instances() -> Any:
    raise OSError(errno.EMFILE, "too many open files")


class Told:
    """A watcher, and what it told."""

    def __init__(self, pace: Pace, make_observer: Callable[[], Any] = Observer) -> None:
        self.changes: list[frozenset[str]] = []
        self.count = 0
        self.warnings: list[str] = []
        self._news = asyncio.Event()
        self.watcher = Watcher(self._changed, self.warnings.append, pace=pace, make_observer=make_observer)

    def _changed(self, paths: frozenset[str]) -> None:
        self.changes.append(paths)
        self.count += 1
        self._news.set()

    async def watch(
        self, *paths: Path | str, globs: tuple[str, ...] = (), since: float | None = None
    ) -> None:
        answer = self.watcher.watch([str(path) for path in paths], globs, since=since)
        await within(SOON, answer, "the files are followed")

    async def change(self) -> set[str]:
        """Return the paths of the next change, which must come soon."""
        await within(SOON, self._news.wait(), "a change is told")
        self._news.clear()
        told, self.changes = self.changes, []
        return set().union(*told)

    async def look(self) -> None:
        """Let the watcher look at everything once, now."""
        await self.watch(*self.watcher._paths, globs=self.watcher._globs)


@asynccontextmanager
async def watching(*paths: Path | str, pace: Pace = BY_EVENTS, **more: Any) -> AsyncIterator[Told]:
    make_observer = more.pop("make_observer", no_more_instances if pace is BY_POLL else Observer)
    told = Told(pace, make_observer)
    try:
        await told.watch(*paths, **more)
        yield told
    finally:
        await told.watcher.stop()


def replace(path: Path, text: str) -> None:
    """Write a file as careful programs do: aside, then renamed over."""
    aside = path.with_name(path.name + ".new")
    aside.write_text(text)
    aside.replace(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "conf" / "compartments.yaml"
    path.parent.mkdir()
    path.write_text("version: 1\n")
    return path


# --- changes that are told ----------------------------------------------------------------------------------


def in_place(path: Path) -> None:
    path.write_text("version: 2\n")


def appended(path: Path) -> None:
    with path.open("a") as file:
        file.write("# more\n")


def renamed_over(path: Path) -> None:
    replace(path, "version: 2\n")


def moved_in_from_elsewhere(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    elsewhere.write_text("version: 2\n")
    elsewhere.replace(path)


def same_size_and_time(path: Path) -> None:
    before = path.stat()
    path.write_text("version: 7\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def deleted(path: Path) -> None:
    path.unlink()


def moved_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def became_a_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("version: 2\n")
    path.unlink()
    path.symlink_to(target)


def became_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def became_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def directory_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


def directory_renamed_away(path: Path) -> None:
    path.parent.rename(path.parent.with_name("old"))


def directory_swapped(path: Path) -> None:
    new = path.parent.with_name("new")
    new.mkdir()
    (new / path.name).write_text("version: 2\n")
    path.parent.rename(path.parent.with_name("old"))
    new.rename(path.parent)


CHANGES = [
    in_place,
    appended,
    renamed_over,
    moved_in_from_elsewhere,
    same_size_and_time,
    deleted,
    moved_away,
    became_a_link,
    became_a_directory,
    became_a_pipe,
    directory_removed,
    directory_renamed_away,
    directory_swapped,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("pace", [BY_EVENTS, BY_POLL], ids=["by events", "by poll"])
async def test_a_change_is_told(file: Path, change: Callable[[Path], None], pace: Pace) -> None:
    other = file.with_name("other.yaml")
    other.write_text("")
    async with watching(file, file.parent.parent / "unrelated", pace=pace) as told:
        change(file)
        assert await told.change() == {str(file)}


@pytest.mark.parametrize("pace", [BY_EVENTS, BY_POLL], ids=["by events", "by poll"])
async def test_every_change_is_told_not_only_the_first(file: Path, pace: Pace) -> None:
    async with watching(file, pace=pace) as told:
        for count in range(5):
            (replace if count % 2 else Path.write_text)(file, f"version: {count + 2}\n")
            assert await told.change() == {str(file)}


async def test_all_changed_paths_are_told_at_once(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b", "c")]
    async with watching(*files, pace=Pace(quiet=3600, longest=3600, poll=3600)) as told:
        for path in files[:2]:
            path.write_text("x")
        await told.look()
        assert await told.change() == {str(path) for path in files[:2]}


async def test_a_deleted_file_that_comes_back_is_told(file: Path) -> None:
    async with watching(file) as told:
        file.unlink()
        assert await told.change() == {str(file)}
        file.write_text("version: 1\n")
        assert await told.change() == {str(file)}


@pytest.mark.parametrize("remove", [shutil.rmtree, lambda path: path.rename(path.with_name("old"))])
async def test_a_directory_that_was_removed_and_made_again_is_followed(file: Path, remove: Any) -> None:
    async with watching(file) as told:
        for count in range(3):
            remove(file.parent)
            assert await told.change() == {str(file)}
            file.parent.mkdir()
            file.write_text(f"round: {count}\n")
            assert await told.change() == {str(file)}
            in_place(file)
            assert await told.change() == {str(file)}
            shutil.rmtree(file.parent.with_name("old"), ignore_errors=True)


async def test_a_directory_that_is_missing_at_the_start_is_followed_once_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "one" / "two" / "three" / "file"
    async with watching(file) as told:
        file.parent.mkdir(parents=True)
        file.write_text("here")
        assert await told.change() == {str(file)}
        file.write_text("there")
        assert await told.change() == {str(file)}


# --- symlinks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [BY_EVENTS, BY_POLL], ids=["by events", "by poll"])
async def test_a_kubernetes_volume_is_swapped(tmp_path: Path, pace: Pace) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()

    def publish(version: int) -> None:
        """Do what kubelet's AtomicWriter does."""
        dated = volume / f"..2026_11_24_10_00_{version:02}"
        dated.mkdir()
        (dated / "compartments.yaml").write_text(f"version: {version}\n")
        (dated / "same").write_text("same\n")
        (volume / "..data_tmp").symlink_to(dated.name)
        (volume / "..data_tmp").replace(volume / "..data")

    publish(0)
    for name in ("compartments.yaml", "same"):
        (volume / name).symlink_to(f"..data/{name}")
    file = volume / "compartments.yaml"
    async with watching(file, volume / "same", pace=pace) as told:
        for version in range(1, 5):
            publish(version)
            shutil.rmtree(volume / f"..2026_11_24_10_00_{version - 1:02}")
            assert await told.change() == {str(file)}


async def test_the_target_of_a_link_in_another_directory_is_edited(tmp_path: Path) -> None:
    for name in ("links", "middle", "targets"):
        (tmp_path / name).mkdir()
    target = tmp_path / "targets" / "file"
    target.write_text("1")
    (tmp_path / "middle" / "link").symlink_to("../targets/file")
    link = tmp_path / "links" / "link"
    link.symlink_to(tmp_path / "middle" / "link")
    async with watching(link) as told:
        target.write_text("2")
        assert await told.change() == {str(link)}
        replace(target, "3")
        assert await told.change() == {str(link)}
        (tmp_path / "targets" / "other").write_text("4")
        (tmp_path / "aside").symlink_to(tmp_path / "targets" / "other")
        (tmp_path / "aside").replace(tmp_path / "middle" / "link")
        assert await told.change() == {str(link)}
        (tmp_path / "targets" / "other").write_text("5")
        assert await told.change() == {str(link)}


async def test_a_linked_directory_is_swapped(tmp_path: Path) -> None:
    for name in ("blue", "green"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "current").symlink_to("blue")
    file = tmp_path / "current" / "file"
    async with watching(file) as told:
        (tmp_path / "next").symlink_to("green")
        (tmp_path / "next").replace(tmp_path / "current")
        assert await told.change() == {str(file)}
        (tmp_path / "green" / "file").write_text("greener")
        assert await told.change() == {str(file)}


async def test_a_circle_of_links_holds_nothing_until_it_is_broken(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    async with watching(tmp_path / "a") as told:
        (tmp_path / "b").unlink()
        (tmp_path / "b").write_text("x")
        assert await told.change() == {str(tmp_path / "a")}


# --- what is no change --------------------------------------------------------------------------------------


def mode_changed(path: Path) -> None:
    path.chmod(0o640)


def touched(path: Path) -> None:
    path.touch()


def read(path: Path) -> None:
    path.read_text()


def same_content_again(path: Path) -> None:
    path.write_text(path.read_text())


def same_content_renamed_over(path: Path) -> None:
    replace(path, path.read_text())


def there_and_back(path: Path) -> None:
    before = path.read_text()
    path.write_text("something else")
    path.write_text(before)


def another_file(path: Path) -> None:
    path.with_name("other").write_text("x")


NO_CHANGES = [
    mode_changed,
    touched,
    read,
    same_content_again,
    same_content_renamed_over,
    there_and_back,
    another_file,
]


@pytest.mark.parametrize("act", NO_CHANGES, ids=lambda act: act.__name__)
async def test_what_leaves_the_content_is_not_told(file: Path, act: Callable[[Path], None]) -> None:
    fence = file.with_name("fence")
    # No look of its own, so that none falls into the middle of what is done.
    async with watching(file, fence, pace=Pace(quiet=3600, longest=3600, poll=3600)) as told:
        act(file)
        fence.write_text("x")
        await told.look()
        assert await told.change() == {str(fence)}
        await told.look()
        assert told.changes == []


async def test_reading_raises_no_events(file: Path) -> None:
    async with watching(file) as told:
        for _ in range(20):
            read(file)
        fence = file.with_name("compartments.yaml.swp")
        fence.write_text("")
        await told.look()
        first_hint = told.watcher._first_hint
    assert first_hint is None


async def test_a_burst_of_writes_is_told_once_or_a_few_times(file: Path) -> None:
    async with watching(file, pace=Pace(quiet=0.1, longest=1.0, poll=3600)) as told:
        times = [time.monotonic()]
        for count in range(500):
            file.write_text(f"version: {count}\n")
            times.append(time.monotonic())
        pauses = sum(later - earlier > 0.05 for earlier, later in itertools.pairwise(times))
        while await told.change() and hash_content(str(file)) != told.watcher._known[str(file)]:
            pass
        await told.look()
        assert told.changes == []
        # One for each second that the burst took and for each pause that it made (a slow machine), and the one
        # after it.
        assert 1 <= told.count <= times[-1] - times[0] + pauses + 2


async def test_endless_writing_does_not_put_off_the_look_for_ever(file: Path) -> None:
    async with watching(file, pace=Pace(quiet=3600.0, longest=0.2, poll=3600)) as told:

        async def write() -> None:
            for count in range(100_000):
                file.write_text(str(count))
                await asyncio.sleep(0.001)

        writing = asyncio.ensure_future(write())
        assert await told.change() == {str(file)}
        assert not writing.done()
        writing.cancel()


# --- globs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", [BY_EVENTS, BY_POLL], ids=["by events", "by poll"])
async def test_a_new_file_that_a_glob_matches_is_told(tmp_path: Path, pace: Pace) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text("1")
    async with watching(old, globs=(f"{tmp_path}/*.yaml",), pace=pace) as told:
        new.write_text("")
        assert await told.change() == {str(new)}
        new.write_text("2")
        assert await told.change() == {str(new)}
        new.unlink()
        assert await told.change() == {str(new)}
        (tmp_path / "elsewhere").write_text("3")
        (tmp_path / "elsewhere").rename(new)
        assert await told.change() == {str(new)}


async def test_what_a_glob_does_not_match_is_not_told(tmp_path: Path) -> None:
    async with watching(globs=(f"{tmp_path}/*.yaml",)) as told:
        for name in (".hidden.yaml", "x.yml", "x.yaml~"):
            (tmp_path / name).write_text("x")
        (tmp_path / "fence.yaml").write_text("x")
        assert await told.change() == {str(tmp_path / "fence.yaml")}


async def test_a_glob_over_directories_follows_those_that_come(tmp_path: Path) -> None:
    async with watching(globs=(f"{tmp_path}/teams/*/rooms.yaml",)) as told:
        for team in ("red", "blue"):
            file = tmp_path / "teams" / team / "rooms.yaml"
            file.parent.mkdir(parents=True)
            file.write_text("x")
            assert await told.change() == {str(file)}
            file.write_text("y")
            assert await told.change() == {str(file)}


# --- following other files ----------------------------------------------------------------------------------


async def test_the_files_can_be_replaced(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    async with watching(one) as told:
        await told.watch(two)
        one.write_text("x")
        two.write_text("x")
        assert await told.change() == {str(two)}
        await told.watch(one, two)
        assert told.changes == [], "a file that comes anew is taken as it is"
        one.write_text("y")
        assert await told.change() == {str(one)}


async def test_a_change_that_is_seen_while_files_are_replaced_is_told(file: Path) -> None:
    async with watching(file, pace=Pace(quiet=3600, longest=3600, poll=3600)) as told:
        in_place(file)
        await told.watch(file, file.with_name("more"))
        assert await told.change() == {str(file)}


@pytest.mark.parametrize(("before", "changed"), [(True, True), (False, False)])
async def test_a_change_between_reading_and_watching_is_told(file: Path, before: bool, changed: bool) -> None:
    written = file.stat().st_ctime
    since = written - 1 if before else written + 1
    async with watching(file, since=since) as told:
        assert told.changes == ([{str(file)}] if changed else [])


async def test_a_file_deleted_between_reading_and_watching_is_told(file: Path) -> None:
    since = file.parent.stat().st_ctime
    file.unlink()
    async with watching(file, since=since) as told:
        assert told.changes == [{str(file)}]


async def test_relative_paths_are_told_as_they_were_given(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    async with watching(file.name, globs=("*.yml",)) as told:
        in_place(file)
        assert await told.change() == {file.name}
        file.with_name("b.yml").write_text("x")
        assert await told.change() == {"b.yml"}


async def test_an_impossible_name_holds_nothing_and_disturbs_nothing(file: Path) -> None:
    async with watching(file, str(file) + "/below", "/nul\0", "") as told:
        in_place(file)
        assert await told.change() == {str(file)}


# --- where the system does not help -------------------------------------------------------------------------


async def test_without_event_queues_the_poll_is_left_and_said_once(file: Path) -> None:
    pace = Pace(quiet=0.05, longest=0.3, poll=0.05)
    async with watching(file, pace=pace, make_observer=no_more_instances) as told:
        for change in (in_place, deleted, renamed_over):
            change(file)
            assert await told.change() == {str(file)}
        why = "EMFILE: fs.inotify.max_user_instances, or the limit of open files"
        assert told.warnings == [
            f"the system allows no more event queues ({why}): changes are found by polling every 0.05 s"
        ]


class Reluctant(Observer):  # type: ignore[misc,valid-type]
    """An observer that refuses some directories."""

    refused: tuple[str, BaseException] = ("", OSError())

    def schedule(self, handler: Any, path: Any, **more: Any) -> Any:
        if path == self.refused[0]:
            raise self.refused[1]
        return super().schedule(handler, path, **more)


@pytest.mark.parametrize(
    ("error", "warning"),
    [
        (OSError(errno.ENOSPC, "x"), "the system allows no more watches (fs.inotify.max_user_watches)"),
        (OSError(errno.EACCES, "x"), "`{0}` cannot be watched (EACCES)"),
        (RuntimeError("can't start new thread"), "the system allows no more threads"),
        (OSError(errno.ENOENT, "gone meanwhile"), None),
    ],
)
async def test_a_directory_that_cannot_be_watched_is_polled(
    file: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, warning: str | None
) -> None:
    monkeypatch.setattr(Reluctant, "refused", (str(file.parent), error))
    async with watching(file, pace=Pace(poll=0.05), make_observer=Reluctant) as told:
        in_place(file)
        assert await told.change() == {str(file)}
        wanted = (
            []
            if warning is None
            else [warning.format(file.parent) + ": changes are found by polling every 0.05 s"]
        )
        assert told.warnings == wanted
        # Once it can be watched, it is; and if that ends, it is said again.
        monkeypatch.setattr(Reluctant, "refused", ("", error))
        await told.look()
        assert told.watcher._events._armed.keys() >= {str(file.parent)}


async def test_an_unforeseen_error_is_told_to_the_loop_and_ends_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    async with watching(file, pace=BY_POLL) as told:
        with monkeypatch.context() as patched:
            seen = threading.Event()

            def fail(_pattern: str) -> list[str]:
                seen.set()
                raise ZeroDivisionError

            told.watcher._globs = ("*",)
            patched.setattr(glob, "glob", fail)
            await asyncio.to_thread(seen.wait, SOON)
        in_place(file)
        assert str(file) in await told.change()
    assert isinstance(contexts[0]["exception"], ZeroDivisionError)


# --- the end ------------------------------------------------------------------------------------------------


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_stopping_leaves_no_thread_and_no_descriptor(file: Path) -> None:
    await asyncio.to_thread(lambda: None)  # the loop's own pool has started
    threads, open_before = set(threading.enumerate()), descriptors()
    for _ in range(3):
        async with watching(file):
            in_place(file)
    left = [thread for thread in set(threading.enumerate()) - threads if "asyncio" not in thread.name]
    assert left == []
    assert descriptors() <= open_before


async def test_nothing_is_told_after_stopping(file: Path) -> None:
    async with watching(file, pace=Pace(quiet=0.0, poll=0.01)) as told:
        for count in range(20):
            file.write_text(str(count))
        await told.watcher.stop()
        told.changes.clear()
        in_place(file)
        await asyncio.sleep(0.05)  # ample time for what must not come: it can make the test pass, not fail
        assert told.changes == []


async def test_a_watcher_that_never_watched_can_be_stopped_and_twice() -> None:
    told = Told(BY_EVENTS)
    await told.watcher.stop()
    await told.watcher.stop()
    assert told.watcher.watch([]).cancelled(), "nothing is followed after the end"


async def test_no_caller_is_left_waiting_by_the_end(file: Path) -> None:
    for _ in range(20):
        told = Told(BY_EVENTS)
        answers = [told.watcher.watch([str(file)]) for _ in range(3)]
        answers[1].cancel()
        await told.watcher.stop()
        await within(SOON, asyncio.wait(answers), "each is answered or cancelled")


async def test_the_loop_is_not_held_while_files_are_hashed(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(1 << 28)  # a hole: a quarter of a gigabyte to hash, nothing on the disk
    async with watching() as told:
        ours, everyones = time.thread_time(), time.process_time()
        await within(SOON, told.watcher.watch([str(big)]), "the file is followed")
        assert time.thread_time() - ours < (time.process_time() - everyones) / 3


# --- the parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "due"),
    [
        (None, 0.0, 13.0),  # no hint: the poll
        (11.0, 11.0, 11.15),  # one hint: after the quiet time
        (11.0, 11.5, 11.65),  # the last one counts
        (11.0, 11.95, 12.0),  # but not beyond the longest time
    ],
)
def test_when_to_look(first: float | None, last: float, due: float) -> None:
    assert Pace().compute_next(10.0, first, last) == pytest.approx(due)


def test_what_a_path_holds(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_text("x")
    os.utime(two, (0, 0))
    two.chmod(0o600)
    assert hash_content(str(one)) == hash_content(str(two))
    two.write_text("y")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    contents = [hash_content(str(tmp_path / name)) for name in ("one", "two", "pipe", "circle", "none")]
    assert len(set(contents)) == len(contents)
    assert contents[-1] == ABSENT == hash_content(f"{one}/below") == hash_content("\0")
    assert hash_content(str(tmp_path)) == contents[2] == b"not a file"


def test_a_trail_goes_where_the_kernel_goes(tmp_path: Path) -> None:
    real = tmp_path / "real" / "deep"
    real.mkdir(parents=True)
    (tmp_path / "short").symlink_to("real/deep")
    (tmp_path / "real" / "file").write_text("x")
    trail = follow_path(f"{tmp_path}/short/../file", Links())
    assert Path(f"{tmp_path}/short/../file").read_text() == "x"
    assert {str(tmp_path / "short"), str(tmp_path / "real" / "file")} <= trail.places
    assert str(tmp_path / "file") not in trail.places
    assert trail.directories == {str(tmp_path.parent), str(tmp_path), str(tmp_path / "real")}


def test_a_trail_to_nowhere_watches_what_there_is(tmp_path: Path) -> None:
    trail = follow_path(f"{tmp_path}/a/b/c", Links())
    assert trail.directories == {str(tmp_path)}
    assert {f"{tmp_path}/a", f"{tmp_path}/a/b", f"{tmp_path}/a/b/c"} <= trail.places


def test_the_last_change_is_that_of_the_file_or_of_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("x")
    os.utime(target, (0, 0))
    assert find_last_change(str(target), Links()) == target.lstat().st_ctime
    link.symlink_to(target)
    assert find_last_change(str(link), Links()) == max(link.lstat().st_ctime, target.lstat().st_ctime)


@pytest.mark.parametrize(
    ("pattern", "base"),
    [("/a/b/*.yaml", "/a/b"), ("/a/*/c/x.yaml", "/a"), ("/a/[b]/x", "/a"), ("*.yaml", ""), ("/?/x", "/")],
)
def test_where_a_glob_begins(pattern: str, base: str) -> None:
    assert find_search_base(pattern) == base
