"""What is kept over a restart: whole or as it was before, and never a guess."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from compartmentd.policy.codes import Code
from compartmentd.problems import Problem, Span
from compartmentd.sessions.revocations import Revocation
from compartmentd.storage import revocations as state_module
from compartmentd.storage.revocations import (
    FILE,
    TEMPORARY,
    DamagedState,
    RevocationStore,
    StoredRevocations,
    decode_revocations,
    encode_revocations,
    open_state,
)

SPAN = Span("compartments.yaml", 3, 5, 3, 10)


def revocation(value: str = "ann", before: float = 1_800_000_000.5) -> Revocation:
    return Revocation(
        issuer="https://id.example.com",
        kind="sub",
        value=value,
        before=before,
        code=Code.LOGGED_OUT,
        at=1_800_000_001.0,
    )


SOME = StoredRevocations(86400.0, (revocation(), revocation("böb \n\u2028 'x'"), revocation("cy", 5)))


def content(kept: StoredRevocations) -> bytes:
    return b"".join(encode_revocations(kept))


def opened(directory: Path) -> RevocationStore:
    state = open_state(str(directory), SPAN)
    assert isinstance(state, RevocationStore), state
    return state


def problem(directory: Path) -> Problem:
    found = open_state(str(directory), SPAN)
    assert isinstance(found, Problem)
    assert (found.severity, found.span) == ("error", SPAN)
    return found


def reopened(directory: Path) -> StoredRevocations:
    state = opened(directory)
    state.close()
    return state.loaded


@pytest.fixture
def state(tmp_path: Path) -> Iterator[RevocationStore]:
    one = opened(tmp_path)
    yield one
    one.close()


# --- over a restart ---------------------------------------------------------------------------------------------


def test_a_new_directory_keeps_nothing(tmp_path: Path) -> None:
    assert reopened(tmp_path) == StoredRevocations()


def test_what_was_saved_is_found(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.save(StoredRevocations(1.0, (revocation("old"),)))
    one.save(SOME)
    one.close()
    assert reopened(tmp_path) == SOME
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_it_is_for_the_daemon_alone(tmp_path: Path, state: RevocationStore) -> None:
    state.save(SOME)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_what_a_kill_left_half_written_is_not_looked_at(tmp_path: Path) -> None:
    one = opened(tmp_path)
    one.save(SOME)
    one.close()
    (tmp_path / TEMPORARY).write_bytes(content(StoredRevocations(1.0, (revocation("new"),)))[:-30])
    assert reopened(tmp_path) == SOME


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_save_that_fails_on_the_way_leaves_the_old(
    tmp_path: Path, state: RevocationStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    state.save(SOME)

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def half(_: StoredRevocations) -> Iterator[bytes]:
        yield b'{"version":1'
        fails()

    if step == "write":
        monkeypatch.setattr(state_module, "encode_revocations", half)
    else:
        monkeypatch.setattr(os, step, fails)
    with pytest.raises(OSError, match="No space left"):
        state.save(StoredRevocations(1.0, (revocation("new"),)))
    monkeypatch.undo()
    assert decode_revocations((tmp_path / FILE).read_bytes()) == SOME
    state.save(StoredRevocations(2.0))
    assert decode_revocations((tmp_path / FILE).read_bytes()) == StoredRevocations(2.0)


def test_it_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, state: RevocationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def replaced(*names: str, **directories: int) -> None:
        steps.append("name")
        replace(*names, **directories)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    state.save(SOME)
    assert steps == ["file", "name", "directory"]


# --- what stops the start ---------------------------------------------------------------------------------------


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = problem(tmp_path / "missing")
    assert (found.code, found.message) == (
        "state.unusable",
        f"the state directory `{tmp_path / 'missing'}` cannot be used: no such file or directory",
    )


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert problem(tmp_path / "file").code == "state.unusable"


@pytest.mark.parametrize("kind", ["directory", "symlink"])
def test_what_is_no_plain_file_is_not_read(tmp_path: Path, kind: str) -> None:
    if kind == "directory":
        (tmp_path / FILE).mkdir()
    else:
        (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    assert problem(tmp_path).code == "state.unusable"


def test_a_directory_that_cannot_be_written_is_found_at_the_start(tmp_path: Path) -> None:
    (tmp_path / TEMPORARY).mkdir()  # root may write anywhere else
    assert problem(tmp_path).code == "state.unusable"


def test_a_directory_is_of_one_daemon(tmp_path: Path, state: RevocationStore) -> None:
    found = problem(tmp_path)
    assert found.code == "state.in-use"
    assert str(tmp_path) in found.message


def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"{}\n")
    found = problem(tmp_path)
    assert found.code == "state.damaged"
    assert f"`{tmp_path / FILE}` cannot be read" in found.message
    assert (tmp_path / FILE).read_bytes() == b"{}\n"
    (tmp_path / FILE).write_bytes(content(SOME))
    assert reopened(tmp_path) == SOME, "the problem let go of the directory"


# --- the content ------------------------------------------------------------------------------------------------


@given(st.lists(st.builds(revocation, st.text(), st.floats(0, 1e10)), max_size=20))
def test_what_is_written_is_read(revocations: list[Revocation]) -> None:
    kept = StoredRevocations(5.0, tuple(revocations))
    assert decode_revocations(content(kept)) == kept


def test_many_are_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "CHUNK", 2)
    assert len(list(encode_revocations(SOME))) == 4
    assert decode_revocations(content(SOME)) == SOME


def test_every_cut_is_noticed() -> None:
    whole = content(SOME)
    for length in range(len(whole)):
        with pytest.raises(DamagedState):
            decode_revocations(whole[:length])


def test_every_line_left_out_or_repeated_is_noticed() -> None:
    lines = content(SOME).splitlines(keepends=True)
    for index in range(len(lines)):
        for wrong in (lines[:index] + lines[index + 1 :], lines[: index + 1] + lines[index:]):
            with pytest.raises(DamagedState):
                decode_revocations(b"".join(wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\n\n",
        b"\x00" * 100,
        content(SOME) + b"x",
        content(SOME).replace(b'"sub"', b'"who"', 1),
        content(SOME).replace(b'"logged_out"', b'"slow"', 1),
        content(SOME).replace(b'"version":1', b'"version":2', 1),
        content(SOME).replace(b"1800000000.5", b'"soon"', 1),
    ],
)
def test_what_was_not_written_is_damaged(wrong: bytes) -> None:
    with pytest.raises(DamagedState) as damage:
        decode_revocations(wrong)
    assert "ann" not in str(damage.value)


@given(st.binary())
def test_any_bytes_are_damaged(raw: bytes) -> None:
    with pytest.raises(DamagedState):
        decode_revocations(raw)
