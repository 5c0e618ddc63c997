"""Keys and tokens made by hand, good and bad: what PyJWT's own encoder would refuse to write, too."""

from __future__ import annotations

import functools
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

from compartmentd.names import EntryName
from compartmentd.problems import Problem, Span
from compartmentd.tokens.entry import IssuerEntry, KeySource
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyfile import read_keys
from compartmentd.tokens.keyset import KeySet

NOW = 1_800_000_000.0
SECRET = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
SPAN = Span("compartments.yaml", 7, 5, 7, 20)


@functools.cache
def private_key(kind: str, name: str = "a", size: int = 2048) -> Any:
    """Return a private key, made once per kind and name: `rsa`, `p256`, `p384`, `p521`, `ed25519`."""
    del name  # it tells one key from another
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=size)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1(), "k256": ec.SECP256K1()}
    return ec.generate_private_key(curves[kind])


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    """Return a public or private key as JWK, with further members; `...` leaves one out."""
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        made = RSAAlgorithm.to_jwk(key, as_dict=True)
    elif isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        made = ECAlgorithm.to_jwk(key, as_dict=True)
    else:
        made = OKPAlgorithm.to_jwk(key, as_dict=True)
    return {name: value for name, value in {**made, **members}.items() if value is not ...}


def jwks(*keys: Any) -> bytes:
    """Return a JWK set; a private key stands for its public half."""
    members = [key if isinstance(key, dict) else jwk(key.public_key()) for key in keys]
    return json.dumps({"keys": members}).encode()


def pem(key: Any) -> bytes:
    """Return a private key's public half in PEM form."""
    made: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


def private_pem(key: Any) -> bytes:
    """Return a private key in PEM form."""
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made


def entry(name: str = "corp", kind: str = "jwks_file", **settings: Any) -> IssuerEntry:
    """Return an entry for `https://NAME.example.com`, audience `realtime`."""
    algorithms = ("HS256",) if kind.startswith("secret") else ("RS256", "PS256", "ES256", "EdDSA")
    defaults: dict[str, Any] = {
        "name": EntryName(name),
        "span": SPAN,
        "issuer": f"https://{name}.example.com",
        "audience": ("realtime",),
        "sources": (KeySource(kind, f"{name}.keys", SPAN),),  # type: ignore[arg-type]
        "algorithms": algorithms,
    }
    return IssuerEntry(**{**defaults, **settings})


def keys_of(who: IssuerEntry, material: bytes) -> tuple[Key, ...]:
    """Return the keys of an entry, of which there must be some."""
    read = read_keys(who, material)
    assert all(isinstance(key, Key) for key in read), read
    return read  # type: ignore[return-value]


def secret_set(**settings: Any) -> KeySet:
    """Return a key set of one entry, `corp`, with `SECRET`: the fastest to sign for."""
    who = entry(kind="secret_file", **settings)
    return KeySet.build([who], keys_of(who, SECRET))


def name_case(value: object) -> str | None:
    """Name a parameter of a test: by itself, but keys (made anew by each process of a run) by their type."""
    return "bytes" if isinstance(value, bytes) else None


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return what `encode` was given."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims(**changed: Any) -> dict[str, Any]:
    """Return good claims for the entry `corp`; `...` leaves one out."""
    good = {
        "iss": "https://corp.example.com",
        "aud": "realtime",
        "sub": "alice",
        "iat": int(NOW) - 60,
        "exp": int(NOW) + 600,
    }
    return {name: value for name, value in {**good, **changed}.items() if value is not ...}


def sign(header: object, payload: object, algorithm: str = "HS256", key: Any = SECRET) -> str:
    """Return a token of exactly this header and payload (objects, or raw bytes), signed by `algorithm`."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(encode(part) for part in parts)
    signature = get_default_algorithms()[algorithm].sign(signed.encode(), key)
    return f"{signed}.{encode(signature)}"


def token(header: dict[str, Any] | None = None, /, **changed: Any) -> str:
    """Return a token by `SECRET` with good claims but for the changed ones."""
    return sign({"alg": "HS256", "typ": "JWT", **(header or {})}, claims(**changed))


def problems_of(kind: str, material: bytes, **settings: Any) -> list[tuple[str, str]]:
    """Return the codes and messages of what is wrong with the bytes of a key source; each stands at its entry."""
    read = read_keys(entry(kind=kind, **settings), material)
    assert read, "neither a key nor a problem"
    for problem in read:
        assert isinstance(problem, Problem)
        assert problem.severity == "error"
        assert problem.span == SPAN
        assert problem.help
    return [(problem.code, problem.message) for problem in read]  # type: ignore[union-attr]
