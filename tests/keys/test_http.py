"""The edge, against a real server on the loopback that does everything wrong."""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
from collections.abc import Callable

import pytest

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
        await client.close()


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
        (answer(b"x" * (MOST_BYTES + 1)), "sends more than 256 KiB"),
        (endless, "sends more than 256 KiB"),
        (dripping, TOO_LATE),
        (silent, TOO_LATE),
        (breaking_off, "breaks off its answer"),
        (b"", "breaks off its answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP correctly"),
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
    await client.close()


async def test_nobody_listens() -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        assert await get(url) == FetchFailure("cannot be reached: connection refused")


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
    await client.close()
