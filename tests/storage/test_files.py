"""The disk and the environment as the compiler reads them."""

from __future__ import annotations

import os

import pytest

from compartmentd.storage import files
from compartmentd.storage.files import Disk


def test_bytes_as_they_are(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff\r\n\0")
    assert Disk().read(str(tmp_path / "a")) == b"\xff\r\n\0"


@pytest.mark.parametrize("path", ["gone", ".", "a/b"])
def test_what_cannot_be_read_is_an_os_error(tmp_path, path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(OSError, match=r"\S"):
        Disk().read(str(tmp_path / path))


def test_no_more_is_read_than_can_be_used(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    (tmp_path / "a").write_bytes(b"x" * 1000)
    assert len(Disk().read(str(tmp_path / "a"))) == 11


@pytest.mark.parametrize(
    ("mode", "is_open"),
    [
        (0o600, False),
        (0o640, False),
        (0o400, False),
        (0o644, True),
        (0o660, True),
        (0o602, True),
        (0o604, True),
    ],
)
def test_a_secret_is_for_its_owner_and_a_group_that_reads(tmp_path, mode, is_open):
    path = tmp_path / "secret"
    path.write_bytes(b"s" * 32)
    path.chmod(mode)
    assert Disk().is_open_to_others(str(path)) is is_open
    assert Disk().is_open_to_others(str(tmp_path / "gone")) is False


def test_globs_find_files_only_one_level_deep(tmp_path):
    for name in ("a.yaml", "b.yaml", ".c.yaml", "d/e.yaml", "d/f/g.yaml", "dir.yaml/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "a.yaml")
    (tmp_path / "broken.yaml").symlink_to(tmp_path / "gone")

    def found(pattern: str) -> list[str]:
        return sorted(os.path.relpath(path, tmp_path) for path in Disk().glob(f"{tmp_path}/{pattern}"))

    assert found("*.yaml") == ["a.yaml", "b.yaml", "link.yaml"]
    assert found("**/*.yaml") == ["d/e.yaml"]
    assert found("*/*.yaml") == ["d/e.yaml"]
    assert found("none*") == []


def test_variables_are_bytes(monkeypatch):
    monkeypatch.setenv("COMPARTMENTD_TEST", "x\udcff")
    monkeypatch.delenv("COMPARTMENTD_UNSET", raising=False)
    assert Disk().getenv("COMPARTMENTD_TEST") == b"x\xff"
    assert Disk().getenv("COMPARTMENTD_UNSET") is None
