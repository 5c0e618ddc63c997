"""Fetches the keys of one entry once, for a command that checks a token and ends."""

from __future__ import annotations

import time
from functools import partial

from compartmentd.keys.fetch import KeySetFetcher
from compartmentd.keys.http import HttpClient
from compartmentd.keys.response import FetchFailure
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.jwk_set import read_jwk_set
from compartmentd.tokens.key import Key


async def fetch_once(entry: IssuerEntry) -> tuple[Key, ...] | FetchFailure:
    """Return the entry's usable keys, or why there are none; takes at most `fetch.TOTAL` seconds."""
    http = HttpClient()
    try:
        fetcher = KeySetFetcher(entry, partial(http.get, ca_file=entry.ca_file), time.monotonic)
        found = await fetcher.fetch()
    finally:
        await http.close()
    if isinstance(found, FetchFailure):
        return found
    read = read_jwk_set(entry, found.body)
    return read.keys or fetcher.refuse(read.problems[0].message)
