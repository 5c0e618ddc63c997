"""Certificate and key: what fits together is read, everything else is a problem that names the guilty file."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from compartmentd.problems import Problem
from compartmentd.storage.certificates import check_validity, read_certificate
from tests.support.certificates import make, readable, write

DAY = 86400.0


def test_a_pair_is_read_with_the_time_of_its_end(tmp_path: Path) -> None:
    certificate = readable(tmp_path, make(ends=30))
    assert abs(certificate.expires_at - time.time() - 30 * DAY) < 60
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_another_pair_has_another_digest(tmp_path: Path) -> None:
    pair = make()
    first = readable(tmp_path, pair)
    assert readable(tmp_path, pair).digest == first.digest
    assert readable(tmp_path, make()).digest != first.digest


BROKEN: dict[str, tuple[Callable[[Path, Path], object], str, str]] = {
    "no certificate": (lambda cert, _: cert.unlink(), "file.unreadable", "cert"),
    "no key": (lambda _, key: key.unlink(), "file.unreadable", "key"),
    "empty certificate": (lambda cert, _: cert.write_bytes(b""), "certificate.unusable", "cert"),
    "empty key": (lambda _, key: key.write_bytes(b""), "certificate.key", "key"),
    "key for certificate": (
        lambda cert, key: cert.write_bytes(key.read_bytes()),
        "certificate.unusable",
        "cert",
    ),
    "half a certificate": (
        lambda cert, _: cert.write_bytes(cert.read_bytes()[:200]),
        "certificate.unusable",
        "cert",
    ),
    "certificate for key": (
        lambda cert, key: key.write_bytes(cert.read_bytes()),
        "certificate.key",
        "key",
    ),
    "encrypted key": (
        lambda _, key: key.write_bytes(make().encrypted_key),
        "certificate.key",
        "key",
    ),
    "another key": (lambda _, key: key.write_bytes(make().key), "certificate.mismatch", "key"),
    "another certificate first": (
        lambda cert, _: cert.write_bytes(make().cert + cert.read_bytes()),
        "certificate.mismatch",
        "key",
    ),
    "rubbish behind the certificate": (
        lambda cert, _: cert.write_bytes(cert.read_bytes() + b"-----BEGIN CERTIFICATE-----\n%%\n"),
        "certificate.unusable",
        "cert",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_a_problem_of_the_guilty_file(tmp_path: Path, name: str) -> None:
    spoil, code, guilty = BROKEN[name]
    files = write(tmp_path, make())
    spoil(Path(files.cert), Path(files.key))
    found = read_certificate(files)
    assert isinstance(found, Problem)
    assert (found.severity, found.code, found.span.file) == ("error", code, guilty)
    assert "BEGIN" not in f"{found.message}{found.help}"


@pytest.mark.parametrize(
    ("starts", "ends", "warned"), [(-1, 1, ""), (-2, -1, "has expired"), (1, 2, "is not valid yet")]
)
def test_a_certificate_out_of_its_time_is_warned_of(
    tmp_path: Path, starts: float, ends: float, warned: str
) -> None:
    files = write(tmp_path, make(starts=starts, ends=ends))
    found = read_certificate(files)
    assert not isinstance(found, Problem)
    warnings = check_validity(files, found, time.time())
    assert len(warnings) == bool(warned)
    assert all(warned in warning.message and warning.severity == "warning" for warning in warnings)
