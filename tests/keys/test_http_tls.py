"""The edge over TLS: authorities of one's own, and proxies, against real servers."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from compartmentd.keys.fetch_once import fetch_once
from compartmentd.keys.http import HttpClient, find_proxy
from compartmentd.keys.remote import RemoteKeys
from compartmentd.keys.response import FetchFailure, Response
from tests.keys.forward_proxy import forward_proxy
from tests.keys.provider import Provider, answer, keyset, provider
from tests.support import certificates
from tests.support.timing import within

NAMES = (
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "REQUEST_METHOD",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)

HOST = "idp.example.com"
"""The provider's name, which only the proxy knows."""


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Authority:
    """A server's certificate, signed by nobody else, and the file of it."""

    def __init__(self, directory: Path, name: str = "authority.pem") -> None:
        self.file = directory / name
        self.tls = self.renew()

    def renew(self) -> ssl.SSLContext:
        """Make another certificate in the same file; return the server's side of it."""
        pair = certificates.make("a provider of this test", hosts=(HOST,))
        self.file.write_bytes(pair.cert)
        both = self.file.with_suffix(".both")
        both.write_bytes(pair.cert + pair.key)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(both)
        return self.tls


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def get(
    idp: Provider, *, host: str = "127.0.0.1", ca_file: Path | None = None, client: HttpClient | None = None
) -> Response | FetchFailure:
    """Request the key set of a provider by this host name, and trust this file."""
    idp.answers["/jwks"] = answer(keyset("a"))
    used = client or HttpClient()
    url = idp.url.replace("http://127.0.0.1", f"https://{host}") + "/jwks"
    try:
        return await within(10, used.get(url, 5.0, ca_file=ca_file and str(ca_file)), "an answer, or none")
    finally:
        if client is None:
            await used.close()


def is_fetched(response: Response | FetchFailure) -> bool:
    return isinstance(response, Response) and response.body == keyset("a")


# --- authorities -----------------------------------------------------------------------------------------------


async def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    async with provider(authority.tls) as idp:
        refused = await get(idp)
        assert isinstance(refused, FetchFailure)
        assert refused.why.startswith("has a certificate that is not trusted: self")
        assert idp.asked == []


async def test_ssl_cert_file_names_authorities(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with provider(authority.tls) as idp:
        assert is_fetched(await get(idp))


async def test_ca_file_names_authorities(authority: Authority) -> None:
    async with provider(authority.tls) as idp:
        assert is_fetched(await get(idp, ca_file=authority.file))


async def test_an_entry_s_keys_are_fetched_with_its_ca_file(authority: Authority) -> None:
    async with provider(authority.tls) as idp:
        idp.url = idp.url.replace("http:", "https:")
        idp.publish("a")
        trusting = idp.entry(kind="discovery", ca_file=str(authority.file))
        assert [key.kid for key in await fetch_once(trusting)] == ["a"]  # type: ignore[union-attr]
        remote = RemoteKeys()
        assert await remote.prepare([trusting], 10) == ()
        plain = idp.entry(kind="discovery")
        assert await remote.prepare([plain], 10) == ("corp",), (
            "keys that another authority vouched for are not kept"
        )
        await remote.close()
        refused = await fetch_once(plain)
        assert isinstance(refused, FetchFailure)
        assert "has a certificate that is not trusted" in refused.why


async def test_ca_file_is_trusted_alone(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    other = Authority(tmp_path, "other.pem")
    async with provider(authority.tls) as idp:
        refused = await get(idp, ca_file=other.file)
        assert isinstance(refused, FetchFailure)
        assert refused.why.startswith("has a certificate that is not trusted")


async def test_one_entry_s_authorities_are_not_those_of_another(authority: Authority) -> None:
    client = HttpClient()
    async with provider(authority.tls) as idp:
        assert is_fetched(await get(idp, ca_file=authority.file, client=client))
        assert isinstance(await get(idp, client=client), FetchFailure)
    await client.close()


async def test_a_changed_ca_file_is_read_again(authority: Authority) -> None:
    client = HttpClient()
    async with provider(authority.tls) as idp:
        assert is_fetched(await get(idp, ca_file=authority.file, client=client))
    before = authority.file.stat().st_mtime_ns
    renewed = authority.renew()
    os.utime(authority.file, ns=(before + 1, before + 1))
    async with provider(renewed) as idp:
        assert is_fetched(await get(idp, ca_file=authority.file, client=client))
    await client.close()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "is not asked, since `ca_file` cannot be read: no such file or directory"),
        (b"", "is not asked, since `ca_file` holds no PEM certificate"),
        (b"\x30\x82\x01\x00", "is not asked, since `ca_file` holds no PEM certificate"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "is not asked, since `ca_file` holds no PEM certificate",
        ),
    ],
    ids=["missing", "empty", "der", "broken"],
)
async def test_a_ca_file_that_cannot_be_used(
    authority: Authority, tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    async with provider(authority.tls) as idp:
        assert await get(idp, ca_file=file) == FetchFailure(why)
        assert idp.asked == []


# --- proxies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("form", ["http://{}", "{}", "http://{}/"])
async def test_keys_come_through_the_proxy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    async with provider(authority.tls) as idp, forward_proxy() as proxy:
        monkeypatch.setenv(name, form.format(proxy.address))
        assert is_fetched(await get(idp, host=HOST, ca_file=authority.file))
        assert proxy.asked == [f"CONNECT {HOST}:{idp.url.rsplit(':', 1)[1]} HTTP/1.1"]


async def test_the_proxy_is_told_its_own_credentials_and_the_provider_is_not(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider(authority.tls) as idp, forward_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ann:secret@{proxy.address}")
        assert is_fetched(await get(idp, host=HOST, ca_file=authority.file))
        assert b"Proxy-Authorization: Basic YW5uOnNlY3JldA==" in proxy.heads[0]
        assert b"uthorization" not in idp.heads[0]


async def test_credentials_of_netrc_are_sent_to_nobody(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login ann password secret\ndefault login ann password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with provider(authority.tls) as idp, forward_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        assert is_fetched(await get(idp, host=HOST, ca_file=authority.file))
        assert b"uthorization" not in idp.heads[0] + proxy.heads[0]


async def test_the_certificate_must_name_the_host_behind_the_proxy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider(authority.tls) as idp, forward_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        refused = await get(idp, host="other.example.com", ca_file=authority.file)
        assert isinstance(refused, FetchFailure)
        assert refused.why.startswith("has a certificate that is not trusted: Hostname mismatch")
        assert idp.asked == []


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        (
            answer(b"", "407 Proxy Authentication Required"),
            "is behind a proxy (`HTTPS_PROXY`) that answers 407",
        ),
        (answer(b"", "403 Forbidden"), "is behind a proxy (`HTTPS_PROXY`) that answers 403"),
        (b"", "breaks off its answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP correctly"),
    ],
)
async def test_a_proxy_that_does_not_help(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, answered: bytes, why: str
) -> None:
    async with provider(authority.tls) as idp, forward_proxy() as proxy:
        proxy.answer = answered
        monkeypatch.setenv("HTTPS_PROXY", f"http://ann:secret@{proxy.address}")
        assert await get(idp, host=HOST, ca_file=authority.file) == FetchFailure(why)


async def test_a_proxy_that_is_not_there(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider(authority.tls) as idp:
        async with forward_proxy() as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.address)
        assert await get(idp, host=HOST, ca_file=authority.file) == FetchFailure(
            "is behind a proxy (`HTTPS_PROXY`) that cannot be reached: connection refused"
        )


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://idp.example.com/jwks", {}, None),
        ("https://idp.example.com/jwks", {"HTTPS_PROXY": ""}, None),
        ("https://idp.example.com/jwks", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://idp.example.com/jwks", {"HTTPS_PROXY": "p:1"}, "http://p:1"),
        ("https://idp.example.com/jwks", {"HTTP_PROXY": "http://p:1"}, None),
        ("https://idp.example.com/jwks", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ("https://idp.example.com/jwks", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.com"}, None),
        ("https://idp.example.com/jwks", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a, .example.com"}, None),
        ("https://idp.example.com/jwks", {"HTTPS_PROXY": "http://p:1", "no_proxy": "idp.example.com"}, None),
        (
            "https://idp.example.com/jwks",
            {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.org"},
            "http://p:1",
        ),
        (
            "https://idp.example.com:8443/",
            {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "idp.example.com:8443"},
            None,
        ),
        ("http://idp.example.com/jwks", {"HTTPS_PROXY": "http://p:1", "HTTP_PROXY": "http://p:1"}, None),
        ("https://localhost:8443/jwks", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://127.0.0.1:8443/jwks", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://[::1]:8443/jwks", {"HTTPS_PROXY": "http://p:1"}, None),
    ],
)
def test_which_proxy(
    monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(url) == proxy


@pytest.mark.parametrize("value", ["socks5://p:1", "https://p:1", "http://", "http://p:port", "http://[p"])
def test_a_proxy_of_another_kind_is_an_error_and_never_left_out(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert find_proxy("https://idp.example.com/") == FetchFailure(
        "is not asked: `HTTPS_PROXY` is no `http://HOST:PORT`"
    )
