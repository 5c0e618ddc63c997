"""A daemon that remembers what was in force: it keeps it, starts on it, and leaves it when the files are mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compartmentd.storage.generations import GenerationStore
from tests.support.daemon import Daemon, command
from tests.support.timing import eventually

OLD: dict[str, Any] = {"server": {"state": "state"}, "namespaces": {"/old": {"connect": "public"}}}
BROKEN = "server: {state: state}\nnamespaces: [\n"


@pytest.fixture
def history(tmp_path: Path) -> GenerationStore:
    (tmp_path / "state").mkdir()
    return GenerationStore(str(tmp_path / "state"))


def prepared(tmp_path: Path, *arguments: str, watch: bool = False) -> Daemon:
    settings = {**OLD, "server": {**OLD["server"], "watch": watch}}
    return Daemon(tmp_path, settings, arguments=arguments)


async def kept(history: GenerationStore, count: int) -> None:
    await eventually(lambda: len(history.list_entries()) == count, f"{count} configurations are kept")


async def test_what_comes_into_force_is_kept_and_rolled_back_to(
    tmp_path: Path, history: GenerationStore
) -> None:
    with prepared(tmp_path) as daemon:
        await kept(history, 1)
        first = daemon.status()["digest"]
        daemon.write({**daemon.settings, "namespaces": {"/new": {"connect": "public"}}})
        daemon.reload()
        await kept(history, 2)
        daemon.write("version: [")
        assert daemon.run("reload").code == 1
        assert command("rollback", "-c", str(daemon.config)).code == 2, "it does not say where the state is"
        done = command("rollback", "-c", str(daemon.config), "2", "--state", str(tmp_path / "state"))
        assert done.code == 0, done
        assert daemon.reload()["digest"] == first
        await eventually(
            lambda: [entry.accepted for entry in history.list_entries()] == [True, False, True],
            "the restored one is the newest, after the broken one, which is kept",
        )
        assert history.list_entries()[0].digest == first


async def test_several_files_are_one_reload_of_a_daemon_that_watches(
    tmp_path: Path, history: GenerationStore
) -> None:
    part = tmp_path / "parts/rooms.yaml"
    part.parent.mkdir()
    # Each main file needs the rule that stands in its own part: a mixture would be refused, and logged.
    part.write_text("rules: {one: public}\n")
    settings = {
        "include": ["parts/*.yaml"],
        "server": {"state": "state", "watch": True},
        "namespaces": {"/": {"connect": {"rule": "one"}}},
    }
    with Daemon(tmp_path, settings) as daemon:
        await kept(history, 1)
        start = daemon.status()
        part.write_text("rules: {one: public, two: public}\n")
        daemon.change("namespaces", "/", "connect", to={"rule": "two"})
        part.write_text("rules: {two: public}\n")
        daemon.reload()
        await eventually(
            lambda: "two" in str(history.read(history.list_entries()[0])), "the second one is kept"
        )
        generation = daemon.status()["generation"]
        said = daemon.log.count("reload_refused")
        done = command("rollback", "-c", str(daemon.config), start["digest"])
        assert (done.code, done.out.count("restored")) == (0, 2), done
        await eventually(lambda: daemon.status()["digest"] == start["digest"], "the old one is in force")
        assert daemon.status()["generation"] == generation + 1
        assert daemon.log.count("reload_refused") == said


async def test_without_last_good_a_broken_file_is_not_served(
    tmp_path: Path, history: GenerationStore
) -> None:
    with prepared(tmp_path) as daemon:
        await kept(history, 1)
    daemon.write(BROKEN)
    assert command("serve", "-c", str(daemon.config)).code == 1


@pytest.mark.parametrize("watch", [False, True])
async def test_it_starts_on_the_last_good_loudly_and_leaves_it(
    tmp_path: Path, history: GenerationStore, watch: bool
) -> None:
    with prepared(tmp_path, "--last-good", watch=watch) as daemon:
        await kept(history, 1)
        good = daemon.status()["digest"]
        assert daemon.status()["last_good"] is None
    written = daemon.config.read_text()
    daemon.write(BROKEN)
    with prepared_again(daemon, BROKEN) as again:
        status = again.status()
        assert status["digest"] == good
        assert [problem["line"] for problem in status["last_good"]] == [3]
        assert again.get("/readyz").json == {"ok": True, "last_good": True}
        assert "the last good configuration is served" in again.log
        assert "on the last good configuration" in again.run("status").out
        assert again.run("reload").code == 1
        assert again.status()["last_good"], "a reload of the broken file changes nothing"
        again.write(written)
        if not watch:
            again.reload()
        await eventually(lambda: again.status()["last_good"] is None, "the mended file is in force")
        assert again.get("/readyz").json == {"ok": True}
        assert len(history.list_entries()) == 1


def prepared_again(daemon: Daemon, text: str) -> Daemon:
    again = Daemon(daemon.directory, daemon.settings, arguments=daemon.arguments)
    again.admin_socket, again._runtime = daemon.admin_socket, daemon._runtime
    again.write(text)
    return again


async def test_damaged_and_outdated_entries_are_passed_over(tmp_path: Path, history: GenerationStore) -> None:
    with prepared(tmp_path, "--last-good") as daemon:
        await kept(history, 1)
        good = daemon.status()["digest"]
    valid = daemon.config.read_bytes()
    history.store((("compartments.yaml", valid.replace(b"public", b"pubic")),), 4e9, accepted=True)
    history.store((("compartments.yaml", valid + b"# replaced\n"),), 4e9, accepted=False)
    damaged = history.store((("compartments.yaml", valid + b"# damaged\n"),), 4e9, accepted=True)
    (history.directory / damaged.file).write_bytes(b"")
    with prepared_again(daemon, BROKEN) as again:
        assert again.status()["digest"] == good
        assert damaged.file in again.log


def test_with_nothing_kept_the_problems_are_those_of_the_file(
    tmp_path: Path, history: GenerationStore
) -> None:
    (tmp_path / "c.yaml").write_text(BROKEN)
    done = command("serve", "--last-good", "-c", "c.yaml", cwd=tmp_path)
    assert done.code == 1
    assert "c.yaml:3:" in done.out + done.err
    (tmp_path / "c.yaml").write_text("broken: [")
    done = command("serve", "--last-good", "-c", "c.yaml", cwd=tmp_path)
    assert done.code == 1
    assert "no state directory is known" in done.err


async def test_a_history_that_cannot_be_written_is_said_and_served(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/configurations").touch()
    with prepared(tmp_path) as daemon:
        await eventually(lambda: "history_not_kept" in daemon.log, "it is said")
        assert daemon.get("/readyz").status == 200
