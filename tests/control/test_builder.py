"""The first generation is built like every later one, and by one compilation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compartmentd.configuration.compiler import Loaded
from compartmentd.control import builder as builder_module
from compartmentd.control.builder import build_first
from compartmentd.control.development import DevelopmentMode
from compartmentd.keys.remote import RemoteKeys

POLICY = """version: 1
issuers:
  corp: {issuer: "https://id.example.com", audience: realtime, secret_file: corp.secret}
namespaces:
  /: {connect: authenticated, rooms: {lobby: {join: authenticated}}}
"""


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Loaded]:
    """What was compiled in this process, in order."""
    found: list[Loaded] = []
    load = builder_module.load

    def recording(*arguments: Any, **options: Any) -> Loaded:
        found.append(load(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(builder_module, "load", recording)
    return found


@pytest.mark.parametrize("development", [None, DevelopmentMode({})])
async def test_a_start_compiles_once(
    tmp_path: Path, compiled: list[Loaded], development: DevelopmentMode | None
) -> None:
    path = tmp_path / "compartments.yaml"
    path.write_text(POLICY)
    secret = tmp_path / "corp.secret"
    if development is None:
        secret.write_text("s" * 40)
    generation, problems = await build_first(str(path), RemoteKeys(), development)
    assert len(compiled) == 1
    assert secret.exists()
    assert [problem.severity for problem in problems] == ([] if development is None else ["note"])
    assert list(map(len, generation.snapshot.keys.keys.values())) == [1], "its key is read"
    [namespace] = generation.configuration.policy.namespaces.values()
    assert namespace.fingerprint, "a reload finds what has not changed"
    assert namespace.rooms[0].fingerprint


async def test_a_start_is_the_first_generation_and_keeps_what_it_read(tmp_path: Path) -> None:
    path = tmp_path / "compartments.yaml"
    path.write_text(POLICY)
    (tmp_path / "corp.secret").write_text("s" * 40)
    generation, _ = await build_first(str(path), RemoteKeys())
    assert (generation.number, generation.digest) == (1, generation.loaded.digest)
    assert generation.loaded.configuration is generation.configuration
    assert dict(generation.loaded.contents) == {"compartments.yaml": POLICY.encode()}
    assert (generation.refused, generation.stale, generation.certificate) == (None, (), None)
