"""Certificates for tests: pairs of files, signed by themselves, and what a client trusts them by."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from compartmentd.configuration.settings import TlsFiles
from compartmentd.problems import span_of_file
from compartmentd.storage.certificates import Certificate, read_certificate


class Pair(NamedTuple):
    """A certificate and its key, in memory."""

    cert: bytes
    key: bytes
    encrypted_key: bytes


def make(
    name: str = "localhost", *, starts: float = -1, ends: float = 30, hosts: tuple[str, ...] = ()
) -> Pair:
    """Make a pair for this machine and `hosts` that is valid from `starts` to `ends`, in days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = [
        *map(x509.DNSName, ("localhost", *hosts)),
        *(x509.IPAddress(ip_address(text)) for text in ("127.0.0.1", "127.0.0.2", "::1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=starts))
        .not_valid_after(now + timedelta(days=ends))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (Encoding.PEM, PrivateFormat.PKCS8)
    return Pair(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(*form, NoEncryption()),
        key.private_bytes(*form, BestAvailableEncryption(b"secret")),
    )


def write(directory: Path, pair: Pair) -> TlsFiles:
    """Write a pair as `server.crt` and `server.key`, and return them as a configuration names them."""
    cert, key = directory / "server.crt", directory / "server.key"
    cert.write_bytes(pair.cert)
    key.write_bytes(pair.key)
    return TlsFiles(str(cert), str(key), span_of_file("cert"), span_of_file("key"))


def readable(directory: Path, pair: Pair) -> Certificate:
    """Write a pair, and read it as the daemon does."""
    found = read_certificate(write(directory, pair))
    assert isinstance(found, Certificate), found
    return found


def trusting(pair: Pair) -> ssl.SSLContext:
    """Return what a client needs that trusts this certificate and no other."""
    return ssl.create_default_context(cadata=pair.cert.decode())
