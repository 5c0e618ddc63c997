"""Hostile tokens at the real daemon: none opens anything, and none makes it ask anybody for anything."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.integration.oidc.realm import connect, realm
from tests.support import mint
from tests.support.daemon import ADMIN
from tests.support.provider import CLIENT, KEYS, claims_of
from tests.support.rawclient import RawClient
from tests.support.wire import request
from tests.tokens import forge

EVENT = "http://schemas.openid.net/event/backchannel-logout"
KID = "1"


class Forge:
    """Makes tokens of good claims of a real one, and signs them with the provider's own key, or another."""

    def __init__(self, good: str, key: Any) -> None:
        self.good = good
        self.claims = claims_of(good)
        self.key = key
        self.header = {"alg": "RS256", "typ": "at+jwt", "kid": KID}
        self.stranger = forge.private_key("rsa", "stranger")

    def sign(
        self, header: object = None, payload: object = None, algorithm: str = "RS256", key: Any = None
    ) -> str:
        """Return a token; what is not given is what the provider would write."""
        return forge.sign(header or self.header, payload or self.claims, algorithm, key or self.key)

    def headed(self, key: Any = None, **members: Any) -> str:
        """Return a token with further members of the header."""
        return self.sign({**self.header, **members}, key=key)

    def saying(self, **claims: Any) -> str:
        """Return a token with other claims; `...` leaves one out."""
        merged = {**self.claims, **claims}
        return self.sign(payload={name: value for name, value in merged.items() if value is not ...})

    def raw(self, member: str) -> str:
        """Return a token with a member in the claims that a JSON encoder would not write."""
        return self.sign(payload=json.dumps(self.claims)[:-1].encode() + b"," + member.encode() + b"}")

    def unsigned(self, algorithm: str) -> str:
        """Return a token without a signature."""
        header = {**self.header, "alg": algorithm}
        parts = [forge.encode(json.dumps(part).encode()) for part in (header, self.claims)]
        return ".".join([*parts, ""])


def by_the_public_key(made: Forge) -> Iterator[tuple[str, str]]:
    """Yield tokens that take the public key, which everybody has, for a secret (CVE-2016-10555)."""
    public = made.key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = forge.jwk(public)
    for name, secret in {
        "pem": pem,
        "pem without its newline": pem.strip(),
        "jwk": json.dumps(jwk).encode(),
        "modulus": base64.urlsafe_b64decode(jwk["n"] + "=="),
        "nothing": b"",
    }.items():
        header = {**made.header, "alg": "HS256"}
        # Not by PyJWT, which refuses to sign with some of these.
        yield f"HMAC with the public key: {name}", _hmac(header, made.claims, secret)


def _hmac(header: object, claims: object, secret: bytes) -> str:
    signed = ".".join(forge.encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{forge.encode(hmac.digest(secret, signed.encode(), 'sha256'))}"


def hostile(made: Forge, trap: str) -> Iterator[tuple[str, str]]:
    """Yield names and tokens; `trap` is an address that nobody must ask."""
    header, payload, signature = made.good.split(".")
    for algorithm in ("none", "None", "NONE", ""):
        yield f"alg {algorithm!r}", made.unsigned(algorithm)
        yield f"alg {algorithm!r}, signed", made.unsigned(algorithm) + signature
    yield "no signature", f"{header}.{payload}."
    yield "no signature at all", f"{header}.{payload}"
    yield (
        "other claims",
        f"{header}.{forge.encode(json.dumps({**made.claims, 'sub': 'root'}).encode())}.{signature}",
    )
    yield from by_the_public_key(made)
    stranger = forge.jwk(made.stranger.public_key(), kid=KID)
    certificate = base64.b64encode(b"\x30\x82\x01\x0a").decode()
    for members in (
        {},
        {"jku": f"{trap}/jwks"},
        {"x5u": f"{trap}/certificate"},
        {"jwk": stranger},
        {"x5c": [certificate]},
        {"jku": f"{trap}/jwks", "x5u": trap, "jwk": stranger, "x5t": "AA", "kid": KID},
    ):
        yield f"a foreign key with {list(members)}", made.headed(key=made.stranger, **members)
    yield "crit", made.headed(crit=["exp"], exp=1)
    yield "crit of an unknown", made.headed(crit=["urn:example:pay"], **{"urn:example:pay": 1})
    yield "empty crit", made.headed(crit=[])
    yield "b64", made.headed(crit=["b64"], b64=False)
    yield "kid a number", made.headed(kid=1)
    yield "kid a list", made.headed(kid=[KID])
    yield "alg twice", made.sign(b'{"alg":"RS256","alg":"none","typ":"at+jwt","kid":"1"}')
    yield "sub twice", made.raw('"sub":"root"')
    yield "a nested member twice", made.raw('"a":{"b":1,"b":2}')
    for depth in (33, 1000, 5000):
        yield f"nested {depth} deep", made.raw(f'"a":{"[" * depth}{"]" * depth}')
    yield "header nested", made.sign(b'{"alg":"RS256","kid":"1","a":' + b"[" * 2000 + b"]" * 2000 + b"}")
    for number in ("1e999", "1" + "0" * 400, "NaN", "Infinity", '"9999999999"', "true", "1e308", "-1"):
        body = json.dumps({name: value for name, value in made.claims.items() if name != "exp"})
        yield f"exp {number[:20]}", made.sign(payload=f'{body[:-1]},"exp":{number}}}'.encode())
        yield (
            f"a claim {number[:20]}, exp past",
            made.sign(payload=f'{body[:-1]},"exp":1,"x":{number}}}'.encode()),
        )
    yield "a number of 5000 digits", made.raw(f'"a":{"9" * 5000}')
    yield "too long", made.saying(padding="x" * 20_000)
    for name in ("exp", "iat", "iss", "aud", "sub"):
        yield f"without {name}", made.saying(**{name: ...})
    yield "issued tomorrow", made.saying(iat=int(time.time()) + 86400)
    yield "valid tomorrow", made.saying(nbf=int(time.time()) + 86400)
    yield "of another issuer", made.saying(iss=trap)
    yield "of the metadata service", made.saying(iss="http://169.254.169.254")
    yield "of almost the issuer", made.saying(iss=made.claims["iss"] + "/")
    yield "iss a list", made.saying(iss=[made.claims["iss"]])
    yield "for somebody else", made.saying(aud="billing")
    yield "for part of the audience", made.saying(aud="real")
    yield "for an object", made.saying(aud={"realtime": True})
    yield "sub half a number", made.saying(sub=1.5)
    yield "sub true", made.saying(sub=True)
    yield "sub a list", made.saying(sub=["ann"])
    yield "sub empty", made.saying(sub="")
    for typ in ("logout+jwt", "secevent+jwt", "dpop+jwt", "ticket+jwt", "application/logout+jwt"):
        yield f"typ {typ}", made.headed(typ=typ)
    yield "a logout without its typ", made.saying(events={EVENT: {}})
    yield "a JWE", ".".join(["eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ", *"abcd"])
    yield "JSON serialization", json.dumps({"payload": payload, "signatures": [{"protected": header}]})
    yield "not a token", "opaque-token-of-a-provider"
    yield "dots", "." * 3000
    yield "line break", f"{header}.{payload}.{signature}\n"


async def test_no_hostile_token_opens_anything_or_makes_anybody_be_asked(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp", "trap", kid=KID) as here:
        corp, trap = here.providers
        good, login = await corp.machine(), await corp.login("ann")
        made = Forge(good, await corp.key(KID))
        client = await RawClient.open(here.daemon.url)
        before, untouched = await corp.asked(), await trap.asked()
        answers = {name: await connect(client, token) for name, token in hostile(made, f"{trap.url}/trap")}
        answers["an ID token"] = await connect(client, login.id_token)
        refused = {"token_invalid", "token_expired"}
        assert {name: code for name, code in answers.items() if code not in refused} == {}
        assert len(answers) > 80
        assert await trap.asked() == untouched
        # A signature by another key may mean that the provider has replaced its key: that is looked up, once.
        assert await corp.asked() - before == {KEYS: 1}
        # The forge makes what is accepted, so that what is refused is so for what is wrong with it.
        for token in (good, made.sign(), made.saying(), made.headed(), made.raw('"a":[[1]]')):
            assert await connect(client, token) is None
            client.write("41/chat,")
        await client.close()


async def test_a_token_is_good_for_what_its_entry_lists_and_for_nothing_else(tmp_path: Path) -> None:
    changed = {"staff": {"use": ["admin"]}}
    async with realm(tmp_path, "corp", "staff", changed=changed) as here:
        corp, staff = here.providers
        user, administrator = await corp.machine(), await staff.machine()
        assert await here.connect(user) is None
        assert await here.connect(administrator) == "token_invalid"
        port = int(here.daemon.admin_url.rpartition(":")[2])
        for token, status in ((user, 401), (administrator, 200)):
            headers = {"Authorization": f"Bearer {token}"}
            reply = await request(
                port, "GET", "/admin/status", b"", {**headers, "Connection": "close"}, ADMIN
            )
            assert reply.status == status


async def test_a_logout_token_opens_nothing_and_an_access_token_logs_nobody_out(tmp_path: Path) -> None:
    async with realm(tmp_path, "corp", kid=KID) as here:
        [corp] = here.providers
        login = await corp.login("ann")
        live = await here.enter(login.token)
        made = Forge(login.token, await corp.key(KID))
        now = int(time.time())
        logout = made.sign(
            {"alg": "RS256", "typ": "logout+jwt", "kid": KID},
            {
                "iss": corp.url,
                "aud": CLIENT,
                "sub": "nobody",
                "iat": now,
                "exp": now + 60,
                "jti": "1",
                "events": {EVENT: {}},
            },
        )
        mint.minted.append(logout)
        assert await here.connect(logout) == "token_invalid"
        for token, status in ((login.token, 400), (login.id_token, 400), (logout, 200), (logout, 400)):
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            body = f"logout_token={token}".encode()
            reply = await request(here.daemon.port, "POST", "/backchannel-logout", body, form)
            assert reply.status == status
        assert not live.sessions["/chat"].ended
        await live.close()
