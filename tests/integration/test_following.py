"""What the daemon follows on disk: also what is not there yet, and paths as they were given."""

from __future__ import annotations

from pathlib import Path

from tests.integration import world
from tests.integration.test_reload import failed, settled
from tests.support.mint import Issuer


async def test_a_file_that_was_missing_makes_a_refused_change_good(tmp_path: Path, corp: Issuer) -> None:
    settings = world.settings() | {"server": {"watch": True}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        start = daemon.status()
        events = {"message": {"schema": "later.schema.json"}}
        room = {"join": "public", "publish": "members", "events": events}
        daemon.change("namespaces", "/later", to={"connect": "public", "rooms": {"one": room}})
        problems = (await failed(daemon, None))["problems"]
        assert any("later.schema.json" in problem["message"] for problem in problems)
        assert daemon.status()["generation"] == start["generation"]
        (tmp_path / "later.schema.json").write_text("{}")
        assert "/later" in (await settled(daemon, start["generation"] + 1))["namespaces"]
        told = daemon.run("reload").out.splitlines()
        assert told[0].startswith("already in force: generation ")
        assert told[1].startswith("taken in ")
        assert f" by the watch on the files, as generation {start['generation'] + 1}: 0 sessions" in told[1]


async def test_keys_are_followed_by_relative_paths(tmp_path: Path, corp: Issuer) -> None:
    with world.daemon(tmp_path, corp, relative=True) as daemon:
        before = daemon.status()["generation"]
        successor = Issuer("corp", key="2")
        written = tmp_path / "new.json"
        written.write_text(successor.jwks())
        written.rename(tmp_path / corp.file)
        await settled(daemon, before + 1)
