"""The edge, against a real server on the loopback that does everything wrong."""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from compartmentd.keys.http import HttpClient
from compartmentd.keys.response import MOST_BYTES, FetchFailure, Response, check_response
from tests.keys.provider import answer, keyset, provider
from tests.support.timing import eventually, within

TOO_LATE = "does not answer in time"


async def get(url: str, seconds: float = 5.0) -> Response | FetchFailure:
    client = HttpClient()
    try:
        return await within(10, client.get(url, seconds), "an answer, or none")
    finally:
        client.close()


async def test_an_answer_comes_whole() -> None:
    async with provider() as idp:
        idp.answers["/jwks?v=1"] = answer(keyset("a"), Cache_Control="max-age=60")
        response = await get(f"{idp.url}/jwks?v=1")
        assert isinstance(response, Response)
        assert (response.status, response.body) == (200, keyset("a"))
        assert response.headers.get("cache-control") == "max-age=60"
        assert b"\r\nAccept-Encoding: identity\r\n" in idp.heads[0]


async def test_a_redirect_is_not_followed() -> None:
    async with provider() as idp:
        idp.answers["/jwks"] = answer(b"", "302 Found", Location=f"{idp.url}/elsewhere")
        response = await get(f"{idp.url}/jwks")
        assert isinstance(response, Response)
        assert response.status == 302
        assert idp.asked == ["/jwks"]


async def test_what_comes_compressed_is_not_unpacked() -> None:
    packed = gzip.compress(b"[" * 50_000_000)
    async with provider() as idp:
        idp.answers["/jwks"] = answer(packed, Content_Encoding="gzip")
        response = await get(f"{idp.url}/jwks")
        assert isinstance(response, Response)
        assert response.body == packed
        assert check_response(response) is not None


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        await writer.drain()


async def dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def silent(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def breaking_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (answer(b"x" * (MOST_BYTES + 1)), "breaks off its answer, or sends more than 256 KiB"),
        (endless, "breaks off its answer, or sends more than 256 KiB"),
        (dripping, TOO_LATE),
        (silent, TOO_LATE),
        (breaking_off, "breaks off its answer, or sends more than 256 KiB"),
        (b"", "breaks off its answer, or sends more than 256 KiB"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "breaks off its answer, or sends more than 256 KiB"),
        (b"\x00" * 100_000, "does not speak HTTP correctly"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "does not speak HTTP correctly"),
    ],
)
async def test_an_answer_that_is_none(script: bytes | Callable[..., object], why: str) -> None:
    async with provider() as idp:
        idp.answers["/jwks"] = script  # type: ignore[assignment]
        assert await get(f"{idp.url}/jwks", 0.5 if why == TOO_LATE else 9.0) == FetchFailure(why)


async def test_whatever_comes_it_is_an_answer_or_none() -> None:
    chance = random.Random(4)
    whole = answer(keyset("a"), Cache_Control="max-age=60")
    client = HttpClient()
    async with provider() as idp:
        for _ in range(200):
            broken = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.5 else whole)
            for _ in range(chance.randrange(5)):
                broken.insert(chance.randrange(len(broken) + 1), chance.randrange(256))
            idp.answers["/jwks"] = bytes(broken)
            assert isinstance(await client.get(f"{idp.url}/jwks", 0.5), Response | FetchFailure)
    client.close()


async def test_nobody_listens() -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        assert await get(url) == FetchFailure("cannot be reached: connection refused")


def certified(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's TLS for 127.0.0.1, and the file of its certificate, which nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a provider of this test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, SHA256())
    )
    file = directory / "provider.pem"
    file.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    return tls, file


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    tls, _ = certified(tmp_path)
    async with provider(tls) as idp:
        idp.answers["/jwks"] = answer(keyset("a"))
        refused = await get(idp.url.replace("http:", "https:") + "/jwks")
        assert isinstance(refused, FetchFailure)
        assert refused.why.startswith("has a certificate that is not trusted: self")
        assert idp.asked == []


async def test_an_authority_of_ones_own_is_trusted_as_the_system_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, file = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with provider(tls) as idp:
        idp.answers["/jwks"] = answer(keyset("a"))
        response = await get(idp.url.replace("http:", "https:") + "/jwks")
        assert isinstance(response, Response)
        assert response.body == keyset("a")


async def test_no_tls_where_it_should_be() -> None:
    async with provider() as idp:
        refused = await get(idp.url.replace("http:", "https:"), 0.5)
        assert isinstance(refused, FetchFailure)
        assert idp.asked == []


async def test_ten_that_hang_do_not_stop_the_eleventh() -> None:
    client = HttpClient()
    async with provider() as idp:
        idp.answers["/hangs"] = silent
        idp.answers["/jwks"] = answer(b"{}")
        hanging = [asyncio.ensure_future(client.get(f"{idp.url}/hangs", 2.0)) for _ in range(20)]
        await eventually(lambda: len(idp.asked) == 20, "all of them")
        response = await client.get(f"{idp.url}/jwks", 5.0)
        assert isinstance(response, Response)
        assert {await one for one in hanging} == {FetchFailure(TOO_LATE)}
    client.close()
