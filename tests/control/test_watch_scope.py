"""What is followed on disk, and what a change means: everything, keys, a certificate, or several of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from compartmentd.control.generation import Generation
from compartmentd.control.reload import Scope
from compartmentd.control.watch_scope import FileFollower, WatchScope
from tests.support.reloading import ControlPlane
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
    files = FileFollower()
    plane.reloader.subscribe(files)
    running = asyncio.ensure_future(files.run(plane.reloader))
    try:
        plane.path.write_text(BAD_KEY)
        await eventually(lambda: plane.reloader.tally.refused == 1, "the new file is refused")
        new.write_text("n" * 40)
        await eventually(lambda: plane.reloader.generation.number == 2, "the mended key brings it into force")
        assert not running.done()
    finally:
        running.cancel()
        await files.close()
