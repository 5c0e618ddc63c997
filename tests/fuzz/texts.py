"""Fuzz targets of texts on which decisions rest: JSON, tokens, key sets and configurations."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from base64 import urlsafe_b64encode
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import msgspec
import yaml

from compartmentd.configuration.compiler import load
from compartmentd.configuration.settings import Configuration
from compartmentd.document.source import Source, decode
from compartmentd.document.yamldoc import parse
from compartmentd.names import EntryName, NamespaceName, RoomName
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Connect, Facts, Join, Publish
from compartmentd.policy.principal import ANONYMOUS
from compartmentd.policy.ruleset import Ruleset
from compartmentd.problems import Problem
from compartmentd.tokens.cache import TokenCache
from compartmentd.tokens.diagnosis import diagnose
from compartmentd.tokens.entry import IssuerEntry, KeySource
from compartmentd.tokens.jws import MAX_TOKEN, parse_token
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyfile import read_keys
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.verify import Verified, build_principal, reverify, verify
from compartmentd.util import strict_json
from compartmentd.util.strict_json import JsonError, NotJson, NotStrict
from tests.fuzz.choices import Choices
from tests.support.cases import InMemory
from tests.support.policies import NOW, span

# --- JSON ---


def strict_json_text(data: bytes) -> None:
    """Read a text by both readers and by Python's; they agree on every text that more than one takes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    strict = _attempt(strict_json.read_value, data)
    if text is None:
        assert isinstance(strict, NotStrict)
        return
    passing = _attempt(strict_json.decode, data)
    if not isinstance(strict, JsonError):
        assert not isinstance(passing, NotJson), "the strict reader takes what the other says is no JSON"
        assert depth_of(strict) <= strict_json.MAX_DEPTH
        assert json.loads(text) == strict
        if not isinstance(passing, NotStrict):  # of numbers, which are passed on, more is refused
            assert passing == strict
    if not isinstance(passing, JsonError):
        assert depth_of(passing) <= strict_json.MAX_DEPTH
        assert _same(json.loads(text), passing)
        json.dumps(passing, ensure_ascii=False, allow_nan=False).encode()
        if isinstance(strict, NotStrict) and not _has_large_integer(passing):
            assert strict_json.names_a_member_twice(data), f"refused strictly for no reason: {strict}"
    assert not isinstance(passing, NotJson) or not isinstance(strict, dict)


def _attempt(read: Any, data: bytes) -> Any:
    try:
        return read(data)
    except JsonError as refused:
        return refused


def depth_of(value: Any) -> int:
    """Return how deep arrays and objects nest."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def _has_large_integer(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_large_integer, value.values()))
    if isinstance(value, list):
        return any(map(_has_large_integer, value))
    return isinstance(value, int | float) and not -(2**63) <= value < 2**64


def _same(python: Any, ours: Any) -> bool:
    """Return whether two values are equal; integers beyond 64 bits may have become floating-point numbers."""
    if isinstance(python, dict):
        return python.keys() == ours.keys() and all(
            _same(value, ours[name]) for name, value in python.items()
        )
    if isinstance(python, list):
        return len(python) == len(ours) and all(map(_same, python, ours))
    if isinstance(ours, float) and not isinstance(python, bool):
        return math.isclose(python, ours)
    return type(python) is type(ours) and bool(python == ours)


# --- tokens ---

SECRET = b"a secret of at least thirty-two bytes, for tests"
OTHER = b"another secret of at least thirty-two bytes, too"


def _entry(name: str, **changed: Any) -> IssuerEntry:
    source = KeySource("secret_file", f"{name}.secret", span())
    settings: dict[str, Any] = {
        "audience": ("realtime",),
        "algorithms": ("HS256",),
        "sources": (source,),
        **changed,
    }
    return IssuerEntry(name=EntryName(name), span=span(), issuer=f"https://{name}.example.com", **settings)


_ENTRIES = (
    _entry("corp", require={"token_use": "access"}),
    _entry("other", use=("connect", "api"), subject=("uid",)),
)


@cache
def keys() -> KeySet:
    """Return the keys of two entries, one a secret each."""
    secrets = {"corp": SECRET, "other": OTHER}
    read = [key for entry in _ENTRIES for key in read_keys(entry, secrets[entry.name])]
    return KeySet.build(_ENTRIES, [key for key in read if isinstance(key, Key)])


_NAMES = (
    "iss",
    "aud",
    "sub",
    "uid",
    "exp",
    "iat",
    "nbf",
    "scope",
    "token_use",
    "tid",
    "events",
    "nonce",
    "typ",
    "_claim_names",
)
_LEAVES = (
    *(
        "https://corp.example.com",
        "https://other.example.com",
        "realtime",
        "ann",
        "access",
        "a b",
        "",
        "x" * 600,
    ),
    *(
        int(NOW),
        int(NOW) - 100,
        int(NOW) - 86_000,
        int(NOW) + 100,
        NOW + 29.5,
        NOW * 1000,
        0,
        -1,
        2**63,
        1.5,
        True,
        False,
        None,
    ),
)
_HEADERS = ("HS256", "none", "RS256", "HS384", "hs256", "")
_BASE = {
    "aud": "realtime",
    "sub": "ann",
    "uid": "bob",
    "token_use": "access",
    "iat": int(NOW) - 10,
    "exp": int(NOW) + 600,
}


def token_text(data: bytes) -> None:
    """Verify any text as a token."""
    _check_token(data.decode("utf-8", "replace"))


def token_claims(data: bytes) -> None:
    """Verify tokens of any claims, mostly signed by the right key, so that every check of claims is reached."""
    choices = Choices(data)
    header: dict[str, Any] = {"alg": choices.one_of((*_HEADERS[:1] * 6, *_HEADERS))}
    if choices.number(4) == 3:
        header[choices.one_of(("typ", "kid", "crit", "b64", "jwk", "x"))] = choices.one_of(
            ("JWT", "at+jwt", "dpop+jwt", 1, None)
        )
    name = choices.one_of(("corp", "other", "else"))
    claims = {"iss": f"https://{name}.example.com", **_BASE}
    for _ in range(choices.number(5)):
        claims[choices.one_of(_NAMES)] = choices.json(_LEAVES, _NAMES)
    for _ in range(choices.number(3)):
        claims.pop(choices.one_of(_NAMES), None)
    payload = json.dumps(claims).encode() if choices.number(8) else choices.take(100)
    signed = f"{_encode(json.dumps(header).encode())}.{_encode(payload)}"
    key = choices.one_of((SECRET, SECRET, OTHER, OTHER, b""))
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    _check_token(f"{signed}.{_encode(signature)}")


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _check_token(token: str) -> None:
    here, cached = keys(), TokenCache(1 << 20)
    for use in ("connect", "api", "connect"):
        verdict = verify(token, here, use, NOW)
        assert [cached.verify(token, here, use, NOW) for _ in range(2)] == [verdict, verdict], (
            "the cache differs"
        )
        assert diagnose(token, here, use, NOW).verdict == verdict, "the diagnosis differs"
        if isinstance(verdict, Verified):
            _check_verified(token, verdict, here, use)
        else:
            assert isinstance(verdict, Rejected)
            assert verdict.detail
            assert "\n" not in verdict.detail
    parsed = parse_token(token)
    assert isinstance(parsed, Rejected) or len(token) <= MAX_TOKEN


def _check_verified(token: str, verified: Verified, here: KeySet, use: Any) -> None:
    """Let PyJWT agree, and look at the promises by eye."""
    entry = here.entries[verified.subject.entry]
    secret = {"corp": SECRET, "other": OTHER}[entry.name]
    options = {
        "verify_exp": False,
        "verify_iat": False,
        "verify_nbf": False,
        "verify_sub": False,
        "verify_aud": False,
    }
    claims = jwt.decode(token, secret, algorithms=["HS256"], issuer=entry.issuer, options=options)
    assert claims == verified.claims
    assert NOW < verified.ends_at <= claims["exp"]
    assert claims["iat"] <= NOW + entry.leeway
    assert claims.get("nbf", NOW) <= NOW + entry.leeway
    assert "realtime" in ([claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"])
    assert all(
        type(claims[name]) is type(value) and claims[name] == value for name, value in entry.require.items()
    )
    assert use in entry.use
    assert verify(token, here, use, verified.ends_at) != verified, "a token is good at its end"
    assert reverify(verified, here, use, NOW) == verified
    principal = build_principal(verified, entry)
    assert principal.subject == verified.subject
    # None of the entries here has a longer path; an integer counts as its decimal form.
    assert str(claims[entry.subject[0]]) == verified.subject.sub


# --- key sets ---

REMOTE = _entry(
    "remote",
    sources=(KeySource("jwks_url", "https://id.example.com/jwks", span()),),
    algorithms=("RS256", "ES256", "EdDSA"),
)


def key_set(data: bytes) -> None:
    """Read any bytes as a provider's key set, as a file's, and as a secret: keys or problems come of it."""
    for entry in (
        REMOTE,
        msgspec.structs.replace(REMOTE, sources=(KeySource("jwks_file", "x.json", span()),)),
        _ENTRIES[0],
    ):
        for item in read_keys(entry, data):
            if isinstance(item, Problem):
                assert item.message
                assert "\n" not in item.message
                continue
            assert item.entry == entry.name
            assert set(item.algorithms) <= set(entry.algorithms) | {"Ed25519", "EdDSA"}


# --- configurations ---

REFERENCE = (Path(__file__).parents[2] / "config/compartments.yaml").read_text(encoding="utf-8")
_FILES = {"events/message.schema.json": b"{}", "keys/corp.jwks.json": b"{}"}


def yaml_text(data: bytes) -> None:
    """Read any bytes as YAML; where nothing is refused, PyYAML reads the same structure."""
    source = decode("compartments.yaml", data)
    if not isinstance(source, Source):
        assert source
        return
    lines = source.text.split("\n")
    parsed = parse(source)
    assert parsed.root is not None or parsed.problems
    for problem in parsed.problems:
        assert 1 <= problem.span.line <= len(lines) + 1
        assert problem.span.column >= 1
        assert "\n" not in problem.message
    if parsed.problems or parsed.root is None:
        return
    assert _has_shape(parsed.root.data, yaml.load(source.text, yaml.CBaseLoader))  # noqa: S506 - it builds texts, lists and mappings alone


def _has_shape(ours: Any, theirs: Any) -> bool:
    """Return whether two values have the same structure and texts; PyYAML was told to read every scalar as text."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(
            _has_shape(value, theirs[name]) for name, value in ours.items()
        )
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(_has_shape, ours, theirs))
    return bool(ours == theirs) if isinstance(ours, str) else isinstance(theirs, str)


def configuration(data: bytes) -> None:
    """Compile any bytes as a configuration, or the reference with some of its bytes replaced."""
    choices = Choices(data)
    text = _edit_reference(choices) if choices.flag() else choices.rest()
    loaded = load(
        "compartments.yaml", InMemory({"compartments.yaml": text, **_FILES}), serving=choices.flag()
    )
    refused = any(problem.severity == "error" for problem in loaded.problems)
    assert (loaded.configuration is None) == refused
    for problem in loaded.problems:
        assert problem.span.line >= 1
        assert problem.message
        assert "\n" not in problem.message
    if loaded.configuration is not None:
        _use(loaded.configuration)


_WORDS = (
    *(
        "public",
        "members",
        "nobody",
        "server",
        "authenticated",
        "{scope: a}",
        "{rule: staff}",
        "{not: public}",
        '"{tenant}"',
    ),
    *(
        "{member_of: lobby}",
        "[]",
        "{}",
        "~",
        "-",
        "0",
        "1",
        "-1",
        "1.5",
        "99999999999999999999",
        "&a",
        "*a",
        "!t",
        "<<: {}",
    ),
    *(
        '"',
        "'",
        ":",
        "#",
        "\t",
        "é",
        "\\",
        "\r",
        "{x}",
        "all",
        "any",
        "one_of",
        "integer",
        "pattern",
        "[a-z]{1,3}",
        "64KiB",
        "0/s",
    ),
)


def _edit_reference(choices: Choices) -> bytes:
    lines = REFERENCE.split("\n")
    for _ in range(1 + choices.number(4)):
        line = (choices.number(256) * 256 + choices.number(256)) % len(lines)
        words = lines[line].split(" ")
        kind = choices.number(5)
        if kind == 0:
            lines.pop(line)
        elif kind == 1:
            lines.insert(line, lines[choices.number(len(lines))])
        elif kind == 2:
            lines[line] = f" {lines[line]}" if choices.flag() else lines[line].removeprefix("  ")
        else:
            word = choices.one_of(_WORDS) if kind == 3 else choices.text(8)
            words[choices.number(len(words))] = word
            lines[line] = " ".join(words)
    return "\n".join(lines).encode()


def _use(made: Configuration) -> None:
    """Take a configuration through what follows: it travels between processes, is prepared, and decides."""
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(made), type=Configuration)
    assert again == made
    rules = Ruleset.build(made.policy)
    for name in made.policy.namespaces:
        place = NamespaceName(name)
        for request in (
            Connect(place),
            Join(place, RoomName("lobby")),
            Publish(place, RoomName("lobby"), "message"),
        ):
            decision = decide(rules, ANONYMOUS, request, Facts(), NOW)
            assert decision.spans, "a decision without a place in the file is one that failed"
