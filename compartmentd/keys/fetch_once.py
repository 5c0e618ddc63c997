"""The keys of one entry, fetched once: for a command that looks at a token and ends."""

from __future__ import annotations

import time

from compartmentd.keys.fetch import KeySetFetcher
from compartmentd.keys.http import HttpClient
from compartmentd.keys.response import Refused
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.keyfile import Key, read_whole_set


async def fetch_once(entry: IssuerEntry) -> tuple[Key, ...] | Refused:
    """Return the entry's usable keys of this moment, or why there are none; takes at most `lookup.TOTAL`."""
    http = HttpClient()
    try:
        found = await KeySetFetcher(entry, http.get, time.monotonic).fetch()
    finally:
        http.close()
    if isinstance(found, Refused):
        return found
    read = read_whole_set(entry, found.body)
    return read.keys or Refused(f"the key set: {read.problems[0].message}")
