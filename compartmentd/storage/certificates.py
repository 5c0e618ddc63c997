"""The certificate of the listeners: a certificate file and a key file, read as a matching pair or as a problem.

The daemon reads it itself, like other key material, and follows changes. Existing connections keep the certificate
that they began with.
"""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from compartmentd.configuration.settings import TlsFiles
from compartmentd.problems import Problem, Span


class Certificate(msgspec.Struct, frozen=True):
    """A TLS certificate with its key.

    Times are wall time in seconds; `digest` distinguishes one pair from another.
    """

    context: ssl.SSLContext
    starts_at: float
    expires_at: float
    digest: str


def read_certificate(files: TlsFiles) -> Certificate | Problem:
    """Read certificate and key.

    If they cannot be used, return a problem at the place that names the faulty file.
    """
    # The bytes first: a change after they are read gives another digest the next time.
    chain, key = _read(files.cert, files.cert_span), _read(files.key, files.key_span)
    if isinstance(chain, Problem):
        return chain
    if isinstance(key, Problem):
        return key
    leaf = _load_leaf(chain, files)
    if isinstance(leaf, Problem):
        return leaf
    unfit = _check_key(leaf, key, files)
    if unfit is not None:
        return unfit
    context = _build_context(files)
    if isinstance(context, Problem):
        return context
    return Certificate(
        context,
        leaf.not_valid_before_utc.timestamp(),
        leaf.not_valid_after_utc.timestamp(),
        hashlib.sha256(hashlib.sha256(chain).digest() + hashlib.sha256(key).digest()).hexdigest(),
    )


def check_validity(files: TlsFiles, certificate: Certificate, now: float) -> tuple[Problem, ...]:
    """Return a warning for a certificate that has expired or is not valid yet at `now` (wall time, seconds)."""
    if certificate.starts_at <= now < certificate.expires_at:
        return ()
    what = "has expired" if now >= certificate.expires_at else "is not valid yet"
    message = f"the certificate in `{files.cert}` {what}, so clients reject it"
    return (Problem("warning", "certificate.untimely", message, files.cert_span, "renew it"),)


def _read(path: str, span: Span) -> bytes | Problem:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        message = f"cannot read `{path}`: {(error.strerror or 'unknown error').lower()}"
        return Problem(
            "error",
            "file.unreadable",
            message,
            span,
            "make the file readable for the user that runs the daemon",
        )


def _load_leaf(chain: bytes, files: TlsFiles) -> x509.Certificate | Problem:
    """Return the first certificate of the chain, which is the server's own (RFC 8446, 4.4.2)."""
    try:
        return x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        message = f"`{files.cert}` contains no certificate in PEM form"
        help_ = "put the server's certificate there, followed by the certificates that lead to the root"
        return Problem("error", "certificate.unusable", message, files.cert_span, help_)


def _check_key(leaf: x509.Certificate, pem: bytes, files: TlsFiles) -> Problem | None:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        message = f"the private key in `{files.key}` is encrypted"
        help_ = "decrypt it: at a restart nobody can enter the password"
        return Problem("error", "certificate.key", message, files.key_span, help_)
    except (ValueError, UnsupportedAlgorithm):
        message = f"`{files.key}` contains no usable private key in PEM form"
        return Problem("error", "certificate.key", message, files.key_span, "put the key there, in PEM form")
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form):
        return None
    message = f"the private key in `{files.key}` does not belong to the first certificate in `{files.cert}`"
    help_ = "use the key and certificate that were issued together, the server's own certificate first"
    return Problem("error", "certificate.mismatch", message, files.key_span, help_)


def _build_context(files: TlsFiles) -> ssl.SSLContext | Problem:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996: earlier versions must not be used
    context.options |= ssl.OP_NO_RENEGOTIATION  # used only to waste the server's time
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password, OpenSSL would ask for one at the terminal if an encrypted key has replaced the file.
        context.load_cert_chain(files.cert, files.key, password="")
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or "unknown error"
        message = f"`{files.cert}` and `{files.key}` cannot be used: {reason.lower().replace('_', ' ')}"
        return Problem("error", "certificate.unusable", message, files.cert_span, "issue another pair")
    return context
