"""Certified OpenID providers (npm's `oidc-provider`) in a Node process that the test drives.

async with providers() as process:
    corp = await process.open("corp", "a")          # discovery at corp.url; the key `a` signs
    token = await corp.machine("chat:connect")      # client credentials
    ann = await corp.login("ann")                   # a user, by authorization code: ann.token, ann.id_token
    await corp.publish("b", "a")                    # rotated; `a` is still published
    await ann.logout()                              # the provider reports it to the clients that registered
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import platform
import re
from collections import Counter
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import jwt
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from tests.support import mint
from tests.support.timing import within

HERE = Path(__file__).parent / "oidc"
ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}
NODE = HERE / "node_modules" / f"node-linux-{ARCHITECTURES.get(platform.machine(), '')}" / "bin" / "node"
PATIENCE = 30.0

AUDIENCE = "realtime"
CLIENT, CLIENT_SECRET = "chat-client", "chat-secret"
CALLBACK = "http://127.0.0.1/callback"
KEYS, DISCOVERY = "/jwks", "/.well-known/openid-configuration"


def claims_of(token: str) -> dict[str, Any]:
    """Return a token's claims, without a look at its signature."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def request(method: str, url: str, headers: dict[str, str], form: dict[str, str]) -> HTTPResponse:
    """Make one request, of a form if there is one, and follow no redirect."""
    client = AsyncHTTPClient(force_instance=True)
    try:
        return await client.fetch(
            url,
            method=method,
            body=urlencode(form) if method == "POST" else None,
            headers=headers,
            follow_redirects=False,
            raise_error=False,
        )
    finally:
        client.close()


class Browser:
    """Follows a login as a browser does: with cookies, and from one page to the next."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._cookies: SimpleCookie = SimpleCookie()

    async def ask(self, target: str, **form: str) -> HTTPResponse:
        """Get a page, or post a form to it, and keep the cookies that it brings."""
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self._cookies.items())
        url = urljoin(self._issuer, target)
        reply = await request("POST" if form else "GET", url, {"Cookie": cookies}, form)
        for cookie in reply.headers.get_list("Set-Cookie"):
            self._cookies.load(cookie)
        return reply

    async def follow(self, target: str) -> str:
        """Follow redirects until they lead to the login page or back to the client; return where to."""
        while not target.startswith(("/login/", CALLBACK)):
            reply = await self.ask(target)
            assert reply.code == 303, (target, reply)
            target = reply.headers["Location"].removeprefix(self._issuer)
        return target


class Login:
    """The login of a user at a provider."""

    def __init__(self, browser: Browser, answer: dict[str, Any]) -> None:
        self._browser = browser
        self.token: str = answer["access_token"]
        self.id_token: str = answer["id_token"]
        self.refresh_token: str = answer["refresh_token"]
        mint.minted.extend((self.token, self.id_token))

    async def logout(self) -> None:
        """Log out at the provider; it has told its clients when this returns."""
        page = await self._browser.ask(f"/session/end?id_token_hint={self.id_token}")
        secret = re.search(rb'name="xsrf" value="([^"]+)"', page.body)
        assert secret is not None, page
        reply = await self._browser.ask("/session/end/confirm", xsrf=secret[1].decode(), logout="yes")
        assert reply.code == 303, reply


class OpenIdProvider:
    """One issuer."""

    def __init__(self, process: Providers, name: str, url: str) -> None:
        self._process = process
        self.name = name
        self.url = url

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return its entry under `issuers`, with further keys."""
        return {"issuer": self.url, "audience": AUDIENCE, **more}

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Ask the process for something of this issuer."""
        return await self._process.call(operation, issuer=self.name, **arguments)

    async def publish(self, *kids: str) -> None:
        """Publish these keys from now on; the first of them signs."""
        await self.call("change", published=list(kids))

    async def report_logouts_to(self, url: str) -> None:
        """Tell this address of logouts."""
        await self.call("change", logout=f"{url}/backchannel-logout")

    async def grant_for(self, seconds: int) -> None:
        """Let access tokens last so long from now on."""
        await self.call("change", lifetime=seconds)

    async def break_down(self, fault: str | None, *places: str) -> None:
        """Let these places (all by default) fail in this way; `None` ends that."""
        for place in places or ("discovery", "keys"):
            await self.call("fault", place=place, fault=fault)

    async def asked(self) -> Counter[str]:
        """Return how often each path has been asked for."""
        return Counter(await self.call("asked"))

    async def fetches(self) -> int:
        """Return how often the keys have been asked for."""
        return (await self.asked())[KEYS]

    # --- tokens ---------------------------------------------------------------------------------------------

    async def machine(self, scope: str = "chat:connect chat:write") -> str:
        """Return an access token by client credentials (RFC 6749, 4.4)."""
        answer = await self._grant("service", "service-secret", grant_type="client_credentials", scope=scope)
        token: str = answer["access_token"]
        mint.minted.append(token)
        return token

    async def key(self, kid: str) -> Any:
        """Return the private key with this `kid`, as the provider or a thief would use it."""
        return jwt.PyJWK(await self.call("key", kid=kid)).key

    async def forged(self, other: OpenIdProvider) -> str:
        """Return a token that is all right but for its signature, which is by this issuer and not by the other."""
        good = await other.machine()
        header = jwt.get_unverified_header(good)
        key = await self.key(header["kid"])
        token = jwt.encode(claims_of(good), key, algorithm="RS256", headers=header)
        mint.minted.append(token)
        return token

    async def login(self, user: str) -> Login:
        """Log a user in by authorization code (RFC 6749, 4.1), and return what came of it."""
        browser = Browser(self.url)
        query = {
            "client_id": CLIENT,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid offline_access chat:connect chat:write",
            "resource": f"urn:{AUDIENCE}",
            "prompt": "login",
        }
        page = await browser.follow(f"/auth?{urlencode(query)}")
        reply = await browser.ask(page, login=user)
        assert reply.code == 303, reply
        back = await browser.follow(reply.headers["Location"].removeprefix(self.url))
        code = parse_qs(urlsplit(back).query)["code"][0]
        return Login(browser, await self._client_grant(grant_type="authorization_code", code=code))

    async def renew(self, login: Login) -> str:
        """Return a new access token of a user, by refresh token."""
        answer = await self._client_grant(grant_type="refresh_token", refresh_token=login.refresh_token)
        login.refresh_token = answer["refresh_token"]
        token: str = answer["access_token"]
        mint.minted.append(token)
        return token

    async def _client_grant(self, **form: str) -> dict[str, Any]:
        return await self._grant(CLIENT, CLIENT_SECRET, redirect_uri=CALLBACK, **form)

    async def _grant(self, client: str, password: str, **form: str) -> dict[str, Any]:
        credentials = base64.b64encode(f"{client}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}"}
        form = {"resource": f"urn:{AUDIENCE}", **form}
        reply = await request("POST", f"{self.url}/token", headers, form)
        assert reply.code == 200, reply.body
        answer: dict[str, Any] = json.loads(reply.body)
        return answer


class Providers:
    """The Node process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self._ids = itertools.count()

    async def open(self, name: str, *published: str) -> OpenIdProvider:
        """Start an issuer on a free port."""
        url = await self.call("open", issuer=name, published=list(published))
        return OpenIdProvider(self, name, url)

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Ask for something and return the answer; a failure there is a failure here."""
        async with self._turn:
            return await within(PATIENCE, self._call(operation, arguments), f"{operation} {arguments}")

    async def _call(self, operation: str, arguments: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"id": next(self._ids), "op": operation, **arguments}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        line = await self._process.stdout.readline()
        assert line, "the providers' process has ended"
        said = json.loads(line)
        assert said["id"] == asked["id"]
        assert "failed" not in said, said["failed"]
        return said["ok"]


@contextlib.asynccontextmanager
async def providers() -> AsyncIterator[Providers]:
    """Start the process, and end it with the test."""
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(HERE / "provider.mjs"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Providers(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await within(PATIENCE, process.wait(), "the providers' process ends")
