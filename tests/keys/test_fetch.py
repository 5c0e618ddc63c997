"""One fetch: which addresses are asked, in which order, and in what time."""

from __future__ import annotations

import json

import pytest

from compartmentd.keys.fetch import DOCUMENT_FOR, TOTAL, FetchedKeySet, KeySetFetcher
from compartmentd.keys.response import FetchFailure, KeyRequest, Response
from compartmentd.tokens.entry import IssuerEntry, KeySource
from tests.support.clock import FakeClock
from tests.tokens import forge

ISSUER = "https://corp.example.com/realms/main/"
DOCUMENT = "https://corp.example.com/realms/main/.well-known/openid-configuration"
KEYS = "https://keys.example.com/jwks"


class Web:
    """Answers by URL, each taking some time by a clock that is moved by hand; notes what was asked."""

    def __init__(self) -> None:
        self.clock = FakeClock(1000.0)
        self.takes = 0.0
        self.asked: list[str] = []
        self.bounds: list[float] = []
        self.answers: dict[str, Response | FetchFailure] = {
            DOCUMENT: Response(200, {}, json.dumps({"issuer": ISSUER, "jwks_uri": KEYS}).encode()),
            KEYS: Response(200, {"Cache-Control": "max-age=90"}, b"the keys"),
        }

    async def get(self, url: str, seconds: float) -> Response | FetchFailure:
        self.asked.append(url)
        self.bounds.append(seconds)
        self.clock.advance(self.takes)
        return self.answers[url]

    def lookup(self, kind: str, **settings: object) -> KeySetFetcher:
        return KeySetFetcher(entry(kind, **settings), self.get, self.clock)


def entry(kind: str, url: str | None = None, **settings: object) -> IssuerEntry:
    place = url or (KEYS if kind == "jwks_url" else ISSUER)
    return forge.entry(
        "corp", "jwks_file", issuer=ISSUER, sources=(KeySource(kind, place, forge.SPAN),), **settings
    )  # type: ignore[arg-type]


@pytest.fixture
def web() -> Web:
    return Web()


async def test_a_key_set_is_asked_for_directly(web: Web) -> None:
    assert await web.lookup("jwks_url").fetch() == FetchedKeySet(b"the keys", 90.0)
    assert web.asked == [KEYS]


async def test_discovery_asks_for_the_document_first_and_keeps_what_it_says(web: Web) -> None:
    lookup = web.lookup("discovery")
    assert await lookup.fetch() == FetchedKeySet(b"the keys", 90.0)
    await lookup.fetch()
    assert web.asked == [DOCUMENT, KEYS, KEYS]
    web.clock.advance(DOCUMENT_FOR)
    await lookup.fetch()
    assert web.asked[3:] == [DOCUMENT, KEYS]


async def test_keys_that_are_gone_are_looked_for_by_discovery_again(web: Web) -> None:
    lookup = web.lookup("discovery")
    await lookup.fetch()
    moved = "https://keys.example.com/moved"
    web.answers[moved] = web.answers[KEYS]
    web.answers[KEYS] = Response(404, {}, b"")
    web.answers[DOCUMENT] = Response(200, {}, json.dumps({"issuer": ISSUER, "jwks_uri": moved}).encode())
    assert await lookup.fetch() == FetchFailure(f"the key set at `{KEYS}`: its server answers 404")
    assert lookup.requests == (KeyRequest(KEYS, "404"),)
    assert await lookup.fetch() == FetchedKeySet(b"the keys", 90.0)


async def test_so_are_keys_that_nobody_can_use(web: Web) -> None:
    lookup = web.lookup("discovery")
    await lookup.fetch()
    lookup.forget()
    await lookup.fetch()
    assert web.asked == [DOCUMENT, KEYS, DOCUMENT, KEYS]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Response(500, {}, b""), f"the discovery document at `{DOCUMENT}`: its server answers 500"),
        (
            FetchFailure("does not answer in time"),
            f"the discovery document at `{DOCUMENT}`: its server does not answer in time",
        ),
        (Response(200, {}, b"<html>"), f"the discovery document at `{DOCUMENT}` is not JSON"),
        (
            Response(200, {}, json.dumps({"issuer": "https://evil.example", "jwks_uri": KEYS}).encode()),
            (
                f"the discovery document at `{DOCUMENT}` names `https://evil.example` as issuer instead of "
                f"`{ISSUER}`: write `jwks_url: {KEYS}` if `{ISSUER}` is the `iss` of its tokens, or "
                "`issuer: https://evil.example` if that is"
            ),
        ),
    ],
)
async def test_without_a_good_document_no_keys_are_asked_for(
    web: Web, answer: Response | FetchFailure, why: str
) -> None:
    web.answers[DOCUMENT] = answer
    assert await web.lookup("discovery").fetch() == FetchFailure(why)
    assert web.asked == [DOCUMENT]


@pytest.mark.parametrize("kind", ["jwks_url", "discovery"])
async def test_nothing_is_asked_over_plain_http(web: Web, kind: str) -> None:
    refused = await web.lookup(kind, url="http://corp.example.com/x").fetch()
    assert isinstance(refused, FetchFailure)
    assert "must be `https://`" in refused.why
    assert web.asked == []


async def test_the_two_requests_share_one_time(web: Web) -> None:
    web.takes = 2.0
    await web.lookup("discovery").fetch()
    assert web.bounds == [TOTAL, TOTAL - 2.0]


async def test_where_no_time_is_left_nothing_more_is_asked(web: Web) -> None:
    web.takes = TOTAL
    assert await web.lookup("discovery").fetch() == FetchFailure("no time is left for the key set")
    assert web.asked == [DOCUMENT]


async def test_the_requests_of_the_last_fetch_are_kept_without_queries(web: Web) -> None:
    url = f"{KEYS}?api_key=secret"
    web.answers[url] = FetchFailure("cannot be reached: connection refused")
    lookup = web.lookup("jwks_url", url=url)
    failed = await lookup.fetch()
    assert lookup.requests == (KeyRequest(f"{KEYS}?…", "cannot be reached: connection refused"),)
    assert failed == FetchFailure(
        f"the key set at `{KEYS}?…`: its server cannot be reached: connection refused"
    )
    web.answers[url] = web.answers[KEYS]
    await lookup.fetch()
    assert lookup.requests == (KeyRequest(f"{KEYS}?…", "200"),)


async def test_discovery_makes_two_requests_and_says_what_each_answered(web: Web) -> None:
    lookup = web.lookup("discovery")
    web.answers[KEYS] = Response(401, {}, b"")
    await lookup.fetch()
    assert lookup.requests == (KeyRequest(DOCUMENT, "200"), KeyRequest(KEYS, "401"))


async def test_an_address_that_must_not_be_asked_is_no_request(web: Web) -> None:
    lookup = web.lookup("jwks_url", url="http://keys.example.com/")
    assert isinstance(await lookup.fetch(), FetchFailure)
    assert lookup.requests == ()
