"""Compiling in a child process: what comes over is what was compiled, and a child that fails is a problem."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from compartmentd.configuration.compiler import Loaded, load
from compartmentd.control import compile_worker
from compartmentd.control.compile_worker import assemble, compile_in_child, split_into_pieces
from compartmentd.names import Digest
from compartmentd.policy.model import PatternParam
from compartmentd.problems import has_errors
from compartmentd.storage.files import Disk
from tests.support.filled import filled, unfilled_fields

CONFIG = Path(__file__).parents[2] / "config"
NOTHING = Digest("")


def loaded(path: Path) -> Loaded:
    return load(str(path), Disk())


async def stream(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_every_field_comes_over() -> None:
    original = filled(Loaded)
    assert list(unfilled_fields(original)) == []
    assert await assemble(stream(list(split_into_pieces(original))), NOTHING) == original


async def test_every_field_of_refused_files_comes_over() -> None:
    original = msgspec.structs.replace(filled(Loaded), configuration=None)
    assert await assemble(stream(list(split_into_pieces(original))), NOTHING) == original


@pytest.mark.parametrize("name", ["compartments.yaml", "demo.yaml"])
async def test_what_comes_over_is_what_was_compiled(name: str) -> None:
    original = loaded(CONFIG / name)
    assert original.configuration is not None
    assert await assemble(stream(list(split_into_pieces(original))), NOTHING) == original


ALIKE = """
version: 1
namespaces:
  /chat:
    connect: public
    rooms:
      "a:{x}": {join: public, params: {x: {pattern: "[a-z]+"}}}
      "b:{y}": {join: public, params: {y: {pattern: "[a-z]+"}}, limits: {message_size: 1KiB}}
      "c:{x}": {join: public, params: {x: {pattern: "[0-9]+"}}}
"""


async def test_what_templates_have_in_common_is_there_once(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(ALIKE)
    original = loaded(tmp_path / "c.yaml").configuration
    copy = (
        await assemble(stream(list(split_into_pieces(loaded(tmp_path / "c.yaml")))), NOTHING)
    ).configuration
    assert copy is not None
    assert copy == original
    (namespace,) = copy.policy.namespaces.values()
    a, b, c = namespace.rooms
    assert a.limits is c.limits is not b.limits
    items = [param.items for room in (a, b, c) for param in room.params if isinstance(param, PatternParam)]
    assert items[0] is items[1] is not items[2]
    assert a.span.file is c.join.span.file


async def test_large_and_oddly_named_files_come_over_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile_worker, "PIECE", 10)
    contents = (("c.yaml", b"0123456789" * 2), ("p/\udcff.yaml", b"01234567890"), ("empty.json", b""))
    original = msgspec.structs.replace(loaded(CONFIG / "demo.yaml"), contents=contents)
    copy = await assemble(stream(list(split_into_pieces(original))), NOTHING)
    assert copy.contents == contents


async def test_of_known_files_the_configuration_is_left_out() -> None:
    original = loaded(CONFIG / "compartments.yaml")
    copy = await assemble(stream(list(split_into_pieces(original))), original.digest)
    assert copy == msgspec.structs.replace(original, configuration=None, contents=())


async def test_a_child_process_compiles(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("version: 1\nnamespaces: {/: {connect: public}}\n")
    beside = await compile_in_child(str(path), NOTHING, development=False)
    assert beside.configuration == load(str(path), Disk(), serving=True).configuration
    path.write_text("version: 1\nnamespaces: {/: {conect: public}}\n")
    beside = await compile_in_child(str(path), NOTHING, development=False)
    assert beside.configuration is None
    assert [str(problem) for problem in beside.problems] == [
        str(problem) for problem in loaded(path).problems
    ]
    assert has_errors(beside.problems)


async def test_nothing_is_imported_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("version: 1\nnamespaces: {/: {connect: public}}\n")
    (tmp_path / "yaml.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(tmp_path)
    assert not (await compile_in_child(str(path), NOTHING, development=False)).problems


async def test_a_child_whose_result_is_not_wanted_ends(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    rooms = "".join(f"      room{number}: {{join: public}}\n" for number in range(2000))
    path.write_text(f"version: 1\nnamespaces:\n  /:\n    connect: public\n    rooms:\n{rooms}")
    digest = loaded(path).digest
    assert (await compile_in_child(str(path), digest, development=False)).configuration is None


@pytest.mark.parametrize(
    "script",
    [
        "import sys; sys.exit(3)",
        "import sys; sys.stdout.buffer.write(bytes([0, 0, 0, 9]) + b'half'); sys.exit(0)",
        "import sys; sys.stdout.buffer.write(bytes([0, 0, 0, 4]) + b'junk'); sys.exit(0)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
async def test_a_child_that_fails_is_a_problem(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {compile_worker.sys.executable} -c "{script}"\n')
    python.chmod(0o755)
    monkeypatch.setattr(compile_worker.sys, "executable", str(python))
    result = await compile_in_child("c.yaml", NOTHING, development=False)
    assert result.configuration is None
    assert [problem.code for problem in result.problems] == ["reload.compiler-failed"]


async def test_a_child_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    python.chmod(0o755)
    monkeypatch.setattr(compile_worker.sys, "executable", str(python))
    monkeypatch.setattr(compile_worker, "TIMEOUT", 0.2)
    async with asyncio.timeout(20):
        result = await compile_in_child("c.yaml", NOTHING, development=False)
    assert "took longer" in result.problems[0].message


async def test_a_child_that_cannot_be_started_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_worker.sys, "executable", str(tmp_path / "nothing"))
    result = await compile_in_child("c.yaml", NOTHING, development=False)
    assert [problem.code for problem in result.problems] == ["reload.compiler-failed"]


def test_every_part_of_a_configuration_can_be_sent() -> None:
    """A type that MessagePack cannot carry would be found here, and not at somebody's reload."""
    original = loaded(CONFIG / "compartments.yaml").configuration
    raw = msgspec.msgpack.encode(original)
    assert msgspec.msgpack.decode(raw, type=type(original)) == original
