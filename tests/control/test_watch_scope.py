"""What is followed on disk, and what a change means: everything, keys, a certificate, or several of them."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from compartmentd.control import watch_scope
from compartmentd.control.generation import Generation
from compartmentd.control.reload import Scope
from compartmentd.control.watch_scope import FileFollower, WatchScope
from compartmentd.storage.watcher import Watcher, Writing, writers
from compartmentd.storage.watcher.pace import Pace
from tests.support.reloading import ControlPlane, build
from tests.support.timing import eventually

POLICY = """version: 1
issuers:
  corp: {issuer: "https://id.example.com", audience: realtime, secret_file: corp.secret}
namespaces:
  /: {connect: public}
"""


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlane:
    (tmp_path / "corp.secret").write_text("s" * 40)
    file = tmp_path / "compartments.yaml"
    file.write_text(POLICY)
    return ControlPlane.read(file)


def without_watch(generation: Generation) -> Generation:
    """Return the same with `watch: false`."""
    configuration = generation.configuration
    server = msgspec.structs.replace(configuration.server, watch=False)
    configuration = msgspec.structs.replace(configuration, server=server)
    snapshot = msgspec.structs.replace(generation.snapshot, configuration=configuration)
    return msgspec.structs.replace(generation, snapshot=snapshot)


@pytest.mark.parametrize("rewritten", [False, True])
def test_a_key_that_development_made_is_no_change_and_one_that_is_written_after_it_is(
    tmp_path: Path, rewritten: bool
) -> None:
    file, key = tmp_path / "compartments.yaml", tmp_path / "corp.secret"
    file.write_text(POLICY)
    generation = build(file, development=True)
    assert list(generation.made) == [str(key)]
    if rewritten:
        key.write_text("compartmentd-development-" + "y" * 40)

    async def follow() -> list[frozenset[str]]:
        told: list[frozenset[str]] = []
        watcher = Watcher(told.append, lambda _: None)
        scope = WatchScope.from_generation(generation)
        try:
            await watcher.watch(scope.keys, since=generation.read_at, known=generation.made)
            await asyncio.sleep(0)
        finally:
            await watcher.stop()
        return told

    assert asyncio.run(follow()) == ([frozenset({str(key)})] if rewritten else [])


@pytest.mark.parametrize(
    ("changed", "watched", "unwatched"),
    [
        (("compartments.yaml",), (Scope.ALL,), ()),
        (("corp.secret",), (Scope.KEYS,), (Scope.KEYS,)),
        # The file may be refused, and the key is another all the same.
        (("compartments.yaml", "corp.secret"), (Scope.ALL, Scope.KEYS), (Scope.KEYS,)),
        ((), (), ()),
    ],
)
def test_what_is_read_again(
    plane: ControlPlane, changed: tuple[str, ...], watched: tuple[Scope, ...], unwatched: tuple[Scope, ...]
) -> None:
    paths = [str(plane.path.with_name(name)) for name in changed]
    assert WatchScope.from_generation(plane.first).find_scopes(paths) == watched
    assert WatchScope.from_generation(without_watch(plane.first)).find_scopes(paths) == unwatched


BAD_KEY = POLICY.replace("corp.secret", "new.secret")
BAD_KEY_AND_RULE = BAD_KEY.replace("connect: public", "connect: {rule: none}")
BAD_TLS = POLICY.replace("issuers:", "server: {tls: {cert: new.crt, key: new.key}}\nissuers:")


@pytest.mark.parametrize(
    ("text", "name"), [(BAD_KEY, "new.secret"), (BAD_KEY_AND_RULE, "new.secret"), (BAD_TLS, "new.key")]
)
async def test_files_that_a_refused_configuration_names_are_followed(
    plane: ControlPlane, text: str, name: str
) -> None:
    for file in ("new.secret", "new.crt", "new.key"):
        plane.path.with_name(file).write_text("short")  # it is there, and does not do
    plane.path.write_text(text)
    assert not (await plane.reloader.reload("watch")).ok
    mended = str(plane.path.with_name(name))
    scope = WatchScope.from_generation(plane.reloader.generation)
    assert mended in scope.files
    assert scope.find_scopes([mended]) == (Scope.ALL,)
    assert WatchScope.from_generation(without_watch(plane.reloader.generation)).find_scopes([mended]) == ()


async def test_they_are_followed_until_the_files_on_disk_are_good(plane: ControlPlane) -> None:
    new = plane.path.with_name("new.secret")
    new.write_text("short")
    plane.path.write_text(BAD_KEY)
    await plane.reloader.reload("watch")
    plane.path.with_name("corp.secret").write_text("t" * 40)
    assert (await plane.reloader.reload("watch", Scope.KEYS)).changed
    assert str(new) in WatchScope.from_generation(plane.reloader.generation).files, (
        "keys that change do not forget it"
    )
    plane.path.write_text(POLICY)
    assert (await plane.reloader.reload("watch")).ok
    assert str(new) not in WatchScope.from_generation(plane.reloader.generation).files


async def test_a_key_file_that_both_name_may_make_the_refused_one_good(plane: ControlPlane) -> None:
    secret = plane.path.with_name("corp.secret")
    plane.path.write_text(POLICY.replace("secret_file", "jwks_file"))
    assert not (await plane.reloader.reload("watch")).ok
    scope = WatchScope.from_generation(plane.reloader.generation)
    assert scope.find_scopes([str(secret)]) == (Scope.ALL, Scope.KEYS)


async def test_mending_a_key_file_alone_brings_the_refused_files_into_force(plane: ControlPlane) -> None:
    new = plane.path.with_name("new.secret")
    new.write_text("short")
    async with following(plane):
        plane.path.write_text(BAD_KEY)
        await eventually(lambda: plane.reloader.tally.refused == 1, "the new file is refused")
        new.write_text("n" * 40)
        await eventually(lambda: plane.reloader.generation.number == 2, "the mended key brings it into force")


# --- files that are still being written ---------------------------------------------------------------------

TWO_PLACES = POLICY + "  /chat: {connect: authenticated}\n"
"""Its first half is a good file that declares less than the whole: in force, it would evict everyone of /chat."""


class Following(FileFollower):
    """Counts how often it asked about writers while there was one."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0

    async def _look_for_writers(self, scope: Scope) -> Writing:
        writing = await super()._look_for_writers(scope)
        self.waited += bool(writing.opened)
        return writing

    async def wait_for_pause(self, times: int = 3) -> None:
        """Wait until it has found a writer so many times more."""
        target = self.waited + times
        await eventually(lambda: self.waited >= target, "it waits for the writer")


def no_events() -> Any:
    raise OSError(errno.EMFILE, "too many open files")


@asynccontextmanager
async def following(plane: ControlPlane) -> AsyncIterator[Following]:
    files = Following()
    plane.reloader.subscribe(files)
    scope = WatchScope.from_generation(plane.reloader.generation)
    await files._watcher.watch(
        scope.files, scope.globs
    )  # the files as they are now are the ones that were read
    running = asyncio.ensure_future(files.run(plane.reloader))
    try:
        yield files
        assert not running.done()
    finally:
        running.cancel()
        await files.close()
        with suppress(asyncio.CancelledError):
            await running
        await plane.reloader.wait()


@pytest.fixture(params=["lease", "events", "neither"])
def _source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is known about writers come from one source, or from none."""
    monkeypatch.setattr(watch_scope, "ASK_EVERY", 0.05)
    if request.param != "lease":
        monkeypatch.setattr(writers, "ask_for_lease", lambda _: None)
    if request.param == "neither":
        pace = Pace(poll=0.1, silence=3.0)
        monkeypatch.setattr(watch_scope, "Watcher", partial(Watcher, pace=pace, make_observer=no_events))


@pytest.mark.usefixtures("_source")
async def test_half_a_file_is_not_put_in_force_however_long_its_writer_pauses(plane: ControlPlane) -> None:
    async with following(plane) as files:
        with plane.path.open("w") as writer:
            for text in (POLICY[: len(POLICY) // 2], POLICY[len(POLICY) // 2 :], "  /chat: "):
                writer.write(text)
                writer.flush()
                await files.wait_for_pause()
                assert plane.reloader.tally.changed == plane.reloader.tally.refused == 0
            writer.write("{connect: authenticated}\n")
        await eventually(lambda: plane.reloader.generation.number == 2, "the whole file is in force")
    assert "/chat" in plane.reloader.generation.configuration.policy.namespaces
    assert plane.reloader.tally.refused == 0


async def test_a_change_waits_for_the_writer_of_another_file(plane: ControlPlane) -> None:
    included = plane.path.with_name("more.yaml")
    included.write_text("namespaces:\n  /chat: {connect: authenticated}\n")
    plane.path.write_text("include: [more.yaml]\n" + POLICY)
    await plane.reloader.reload("request")
    async with following(plane) as files:
        with included.open("w") as writer:
            writer.write("namespaces:\n  /new: {connect: public}\n")
            writer.flush()
            plane.path.write_text("include: [more.yaml]\n" + POLICY + "  /other: {connect: public}\n")
            await files.wait_for_pause()
            assert plane.reloader.generation.number == 2
            writer.write("  /chat: {connect: authenticated}\n")
        await eventually(lambda: plane.reloader.generation.number == 3, "both are in force, by one reload")
    assert {"/chat", "/new", "/other"} <= plane.reloader.generation.configuration.policy.namespaces.keys()


async def test_a_file_that_is_opened_while_it_is_read_is_read_again(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_scope, "ASK_EVERY", 0.05)
    read_all = plane.builder.read_all
    begun: list[Any] = []

    async def write_meanwhile(cause: str, current: Generation | None) -> Any:
        if not begun:
            begun.append(plane.path.open("w"))
            begun[0].write(POLICY.replace("public", "authenticated"))
            begun[0].flush()
        return await read_all(cause, current)

    monkeypatch.setattr(plane.builder, "read_all", write_meanwhile)
    async with following(plane) as files:
        plane.path.write_text(TWO_PLACES)
        await files.wait_for_pause()
        assert plane.reloader.generation.number == 1
        with begun[0] as writer:
            writer.write("  /last: {connect: public}\n")
        await eventually(lambda: plane.reloader.generation.number == 2, "the whole file is in force")
    assert "/last" in plane.reloader.generation.configuration.policy.namespaces


async def test_a_file_that_is_written_and_closed_while_it_is_read_is_read_again(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all = plane.builder.read_all
    candidates: list[Any] = []

    async def write_meanwhile(cause: str, current: Generation | None) -> Any:
        if not candidates:
            with plane.path.open("w") as writer:
                writer.write(POLICY)
                writer.flush()
                candidates.append(await read_all(cause, current))
                writer.write("  /last: {connect: public}\n")
            return candidates[0]
        return await read_all(cause, current)

    monkeypatch.setattr(plane.builder, "read_all", write_meanwhile)
    async with following(plane):
        plane.path.write_text(TWO_PLACES)
        await eventually(lambda: plane.reloader.generation.number == 2, "the whole file is in force")
    assert "/last" in plane.reloader.generation.configuration.policy.namespaces


async def test_who_asks_by_hand_gets_the_files_as_they_are(plane: ControlPlane) -> None:
    async with following(plane) as files:
        with plane.path.open("a") as writer:
            writer.write("  /chat: {connect: public}\n")
            writer.flush()
            await files.wait_for_pause()
            assert (await plane.reloader.reload("request")).changed
            assert plane.reloader.generation.number == 2


async def test_a_writer_of_the_configuration_does_not_hold_up_a_key(plane: ControlPlane) -> None:
    async with following(plane) as files:
        with plane.path.open("a") as writer:
            writer.write("# more\n")
            writer.flush()
            await files.wait_for_pause()
            plane.path.with_name("corp.secret").write_text("t" * 40)
            await eventually(lambda: plane.reloader.generation.number == 2, "the new key is in force")


async def test_the_log_says_which_file_is_waited_for(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch_scope, "TELL_AFTER", 0.0)
    caplog.set_level("INFO")
    async with following(plane) as files:
        with plane.path.open("a") as writer:
            writer.write("# more\n")
            writer.flush()
            await files.wait_for_pause()
    (record,) = [record for record in caplog.records if "open for writing" in record.getMessage()]
    assert str(plane.path) in str(record.__dict__)


def test_each_file_of_an_overlap_is_followed(tmp_path: Path) -> None:
    for name, byte in (("corp.secret", "s"), ("next.secret", "t")):
        (tmp_path / name).write_text(byte * 40)
    file = tmp_path / "compartments.yaml"
    file.write_text(POLICY.replace("corp.secret}", "[corp.secret, next.secret]}"))
    scope = WatchScope.from_generation(ControlPlane.read(file).first)
    paths = {str(tmp_path / name) for name in ("corp.secret", "next.secret")}
    assert scope.keys == paths
    assert all(scope.find_scopes([path]) == (Scope.KEYS,) for path in paths)
