from __future__ import annotations

import stat
from pathlib import Path

import pytest

from compartmentd.storage.kept_tokens import KeptTokens

HASH, OTHER = "ab" * 32, "0c" * 32


@pytest.fixture
def kept(tmp_path: Path) -> KeptTokens:
    return KeptTokens(str(tmp_path / "admin.sock"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock.tokens"


def test_what_is_written_is_read_and_is_private(kept: KeptTokens, file: Path) -> None:
    assert kept.read() == {}
    kept.write({HASH: 12.5})
    kept.write({HASH: 12.5, OTHER: 7.0})
    assert kept.read() == {HASH: 12.5, OTHER: 7.0}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name]


def test_a_file_that_others_may_use_is_not_believed(kept: KeptTokens, file: Path) -> None:
    kept.write({HASH: 12.5})
    for mode in (0o640, 0o604, 0o620, 0o602):
        file.chmod(mode)
        assert kept.read() == {}


def test_a_link_to_a_file_is_not_believed(kept: KeptTokens, file: Path) -> None:
    kept.write({HASH: 12.5})
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")
    assert kept.read() == {}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"ab": "soon"}', b"\xff", b'{"ab": 1}', b'{"' + b"G" * 64 + b'": 1}']
)
def test_a_damaged_file_signs_nobody_in(kept: KeptTokens, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o600)
    assert kept.read() == {}


def test_a_directory_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    kept = KeptTokens(str(tmp_path / "missing" / "admin.sock"))
    kept.write({HASH: 12.5})
    assert kept.read() == {}


def test_another_file_of_that_name_is_replaced(kept: KeptTokens, file: Path) -> None:
    file.with_name(f"{file.name}.new").symlink_to("target")
    kept.write({HASH: 1.0})
    assert kept.read() == {HASH: 1.0}
    assert not file.with_name("target").exists()
