"""Remote keys as a whole: a real provider on the loopback, and a clock that is moved by hand where time matters."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from compartmentd.keys import schedule
from compartmentd.keys.remote import RemoteKeys
from compartmentd.keys.schedule import LATEST, RELIED_ON, SPACING
from compartmentd.names import EntryName
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.rejected import KeyStatus
from tests.keys.provider import CORP, Provider, Script, answer, keys, keyset, provider
from tests.support.clock import FakeClock
from tests.support.timing import eventually, within
from tests.tokens import forge


class Following:
    """Remote keys that are in force as soon as they change, as the reloader sees to it."""

    def __init__(self, *issuers: IssuerEntry) -> None:
        self.clock = FakeClock(1000.0)
        self.issuers = issuers
        self.changes: list[EntryName] = []
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.remote = RemoteKeys(monotonic=self.clock, jitter=lambda: 0.0)

    async def take_changes(self) -> None:
        while True:
            changes = await self.remote.wait_for_changes()
            await self.may_take.wait()
            self.remote.get_keys(self.issuers)
            for change in changes:
                self.changes.append(change.entry)
                change.taken_in.set()

    def follow(self, *issuers: IssuerEntry) -> None:
        self.issuers = issuers
        self.remote.get_keys(issuers)
        self.remote.follow(issuers)

    def kids(self, name: EntryName = CORP) -> list[str | None]:
        return [key.kid for key in self.remote.get_keys(self.issuers).get(name, ())]

    async def fetch(self) -> None:
        """Let a token cause a fetch, as soon as one may, and wait for its end."""
        self.clock.advance(SPACING)
        assert self.remote.request_key(CORP, f"kid at {self.clock.now}") is KeyStatus.PENDING
        await self.answered()

    async def answered(self, name: EntryName = CORP) -> None:
        told = asyncio.Event()
        self.remote.call_when_answered(name, told.set)
        await within(10, told.wait(), "the end of a fetch")


@asynccontextmanager
async def following(*issuers: IssuerEntry) -> AsyncIterator[Following]:
    made = Following(*issuers)
    made.remote.follow(issuers)
    taking = asyncio.ensure_future(made.take_changes())
    try:
        yield made
        assert not taking.done()
    finally:
        taking.cancel()
        await made.remote.close()


async def hang(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("kind", ["jwks_url", "discovery"])
async def test_the_first_keys_are_waited_for_until_they_are_in_force(kind: str) -> None:
    async with provider() as idp:
        idp.publish("a", "b")
        async with following(idp.entry(kind=kind)) as now:
            assert now.remote.entries_without_keys == (CORP,)
            assert await now.remote.wait_for_keys(10) == ()
            assert now.kids() == ["a", "b"]
            assert now.changes == [CORP]
            assert now.remote.entries_without_keys == ()


async def test_the_wait_for_the_first_keys_has_an_end() -> None:
    async with provider() as idp:
        idp.publish("a")
        other = idp.entry("other", issuer="https://other.example")
        other_place = Provider(1)  # nobody listens on port 1
        async with following(other_place.entry(), other) as now:
            await now.answered(EntryName("other"))
            assert await now.remote.wait_for_keys(0.5) == (CORP,)
            assert now.kids(EntryName("other")) == ["a"]


async def test_a_provider_that_comes_up_late_is_found() -> None:
    async with provider() as idp, following(idp.entry()) as now:
        await now.answered()
        await now.fetch()
        assert now.remote.request_key(CORP, "a") is KeyStatus.LATER
        idp.publish("a")
        now.clock.advance(SPACING)
        assert now.remote.request_key(CORP, "a") is KeyStatus.PENDING
        assert await now.remote.wait_for_keys(10) == ()


async def test_a_rotated_key_is_there_once_a_token_names_it() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry(kind="discovery")) as now:
            await now.remote.wait_for_keys(10)
            idp.publish("a", "b")
            now.clock.advance(SPACING)
            assert now.remote.request_key(CORP, "b") is KeyStatus.PENDING
            await now.answered()
            assert now.kids() == ["a", "b"]


async def test_a_rotation_right_after_a_token_caused_a_fetch_is_seen_when_the_spacing_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "SPACING", 0.2)
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            await now.fetch()
            idp.publish("b")
            assert now.remote.request_key(CORP, "b") is KeyStatus.LATER
            await eventually(lambda: now.kids() == ["b"], "the key, without anybody asking again")


async def test_whoever_waits_is_told_when_the_new_keys_are_in_force_and_not_before() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            idp.publish("b")
            now.may_take.clear()
            now.clock.advance(SPACING)
            now.remote.request_key(CORP, "b")
            told = [asyncio.Event() for _ in range(3)]
            for event in told:
                now.remote.call_when_answered(CORP, event.set)
            await eventually(lambda: len(idp.asked) == 2, "the fetch")
            for _ in range(20):
                await asyncio.sleep(0.01)
                assert not any(event.is_set() for event in told)
                assert now.remote.request_key(CORP, "b") is KeyStatus.PENDING
            now.may_take.set()
            for event in told:
                await within(10, event.wait(), "each who waits is told")
            assert now.changes == [CORP, CORP]


async def test_a_withdrawn_key_is_gone_with_the_fetch() -> None:
    async with provider() as idp:
        idp.publish("a", "b")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            idp.publish("b")
            await now.fetch()
            assert now.kids() == ["b"]
            assert len(now.changes) == 2


PRIVATE = forge.jwk(forge.private_key("p256", "x"), kid="x")

FAULTS: dict[str, tuple[Script, str]] = {
    "error": (answer(b"{}", "500 Internal Server Error"), "answers 500"),
    "redirect": (answer(b"", "302 Found", Location="/elsewhere"), "redirects are not followed"),
    "garbage": (answer(b"<html>maintenance</html>"), "is not JSON"),
    "empty body": (answer(b""), "is not JSON"),
    "empty set": (answer(b'{"keys": []}'), "it has no keys"),
    "no set": (answer(b'{"issuer": "x"}'), "is not a JSON Web Key Set"),
    "foreign keys": (answer(b'{"keys": [{"kty": "XYZ"}]}'), "none of the 1 keys"),
    "private key": (answer(forge.jwks(PRIVATE)), "private or symmetric"),
    "compressed": (answer(keyset("b"), Content_Encoding="gzip"), "compressed"),
    "huge": (answer(b" " * 300_000 + keyset("b")), "more than 256 KiB"),
    "brackets": (answer(b'{"keys": [' + b"{}," * 80_000 + b"{}]}"), "members and items"),
    "hang-up": (b"", "breaks off"),
    "half": (keys("b")[:-20], "breaks off"),
    "no HTTP": (b"hello\r\n\r\n", "does not speak HTTP"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_replaces_a_good_set(fault: str) -> None:
    script, why = FAULTS[fault]
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            idp.answers["/jwks"] = script
            await now.fetch()
            assert now.kids() == ["a"]
            assert now.changes == [CORP]
            status = now.remote.build_status()[CORP]
            assert why in status["error"]
            assert (status["stale"], status["failures"], status["fetches"]) == (True, 1, 2)
            idp.publish("b")
            await now.fetch()
            assert now.kids() == ["b"]
            assert now.remote.build_status()[CORP]["error"] is None
            assert "/elsewhere" not in idp.asked


async def test_an_issuer_that_is_another_now_replaces_nothing_either() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry(kind="discovery")) as now:
            await now.remote.wait_for_keys(10)
            idp.publish("b", issuer="https://evil.example")
            idp.answers["/jwks"] = answer(b"", "404 Not Found")
            await now.fetch()
            await now.fetch()
            assert now.kids() == ["a"]
            assert "as issuer instead of" in now.remote.build_status()[CORP]["error"]


async def test_a_bad_key_is_left_out_and_the_good_ones_count(caplog: pytest.LogCaptureFixture) -> None:
    good = forge.jwk(forge.private_key("p256", "a").public_key(), kid="a")
    weak = forge.jwk(forge.private_key("rsa", size=1024).public_key(), kid="weak")
    caplog.set_level(logging.INFO, "compartmentd")
    async with provider() as idp:
        idp.answers["/jwks"] = answer(forge.jwks(weak, PRIVATE, good))
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            assert now.kids() == ["a"]
    left_out = [record for record in caplog.records if getattr(record, "event", "") == "key_left_out"]
    assert ["1024 bits" in record.getMessage() for record in left_out] == [True, False]
    assert PRIVATE["d"] not in caplog.text


async def test_during_an_outage_known_keys_go_on_for_a_day(caplog: pytest.LogCaptureFixture) -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            idp.answers.clear()
            for _ in range(9):
                await now.fetch()
            assert now.kids() == ["a"]
            now.clock.advance(RELIED_ON)
            await now.fetch()
            assert now.kids() == []
            assert now.remote.entries_without_keys == (CORP,)
            assert len(now.changes) == 2
    told = [record.fields["failures"] for record in caplog.records if record.event == "keys_not_fetched"]  # type: ignore[attr-defined]
    assert told == [1, 2, 4, 8]
    assert [record.levelname for record in caplog.records if record.event == "keys_dropped"] == ["ERROR"]  # type: ignore[attr-defined]


async def test_keys_are_fetched_anew_without_anybody_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "SOONEST", 0.05)
    async with provider() as idp:
        idp.answers["/jwks"] = keys("a", Cache_Control="max-age=0")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            idp.answers["/jwks"] = keys("b", Cache_Control="max-age=0")
            await eventually(lambda: now.kids() == ["b"], "the keys that are published now")


async def test_a_hundred_thousand_invented_keys_are_one_fetch_and_cost_little() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            now.clock.advance(SPACING)
            started = time.process_time()
            for number in range(100_000):
                now.remote.request_key(CORP, f"invented {number}")
            assert time.process_time() - started < 5  # 0.1 s where nothing else runs
            await now.answered()
            now.clock.advance(SPACING - 1)
            for number in range(1000):
                assert now.remote.request_key(CORP, f"more {number}") is KeyStatus.LATER
            await asyncio.sleep(0.05)
            assert len(idp.asked) == 2


async def test_nothing_of_a_token_is_ever_asked_for() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            now.clock.advance(SPACING)
            now.remote.request_key(CORP, f"{idp.url}/?kid=../../etc/passwd")
            await now.answered()
            assert idp.asked == ["/jwks", "/jwks"]
            assert b"passwd" not in b"".join(idp.heads)


async def test_an_entry_without_remote_keys_is_none_of_our_business() -> None:
    async with following(forge.entry()) as now:
        assert now.remote.request_key(CORP, "a") is KeyStatus.ABSENT
        assert await now.remote.wait_for_keys(1) == ()
        assert now.remote.build_status() == {}
        await now.answered()


# --- reloads ----------------------------------------------------------------------------------------------------


async def test_an_entry_that_stays_keeps_its_keys_and_is_not_asked_again() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            now.follow(idp.entry(), idp.entry("second", issuer="https://second.example"))
            await now.remote.wait_for_keys(10)
            assert now.kids() == ["a"]
            assert len(idp.asked) == 2


async def test_an_entry_that_changed_begins_with_what_is_known_even_if_the_provider_is_down() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            idp.answers.clear()
            narrower = idp.entry(algorithms=("ES256",), audience=("another",))
            assert await now.remote.prepare([narrower], 10) == ()
            now.follow(narrower)
            assert now.kids() == ["a"]
            assert now.remote.get_keys([narrower])[CORP][0].algorithms == ("ES256",)


async def test_an_entry_that_no_longer_allows_the_algorithm_has_no_keys() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            assert await now.remote.prepare([idp.entry(algorithms=("RS256",))], 10) == (CORP,)


async def test_keys_of_another_place_or_issuer_are_not_taken_over() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            idp.answers.clear()
            assert await now.remote.prepare([idp.entry(issuer="https://new.example")], 10) == (CORP,)


async def test_new_entries_are_fetched_before_they_are_in_force() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following() as now:
            assert await now.remote.prepare([idp.entry()], 10) == ()
            assert now.changes == []
            now.follow(idp.entry())
            assert now.kids() == ["a"]
            assert now.remote.entries_without_keys == ()


async def test_a_reload_waits_for_one_answer_and_not_for_ever() -> None:
    async with provider() as idp, following() as now:
        assert await within(5, now.remote.prepare([idp.entry()], 60), "one answer, a bad one") == (CORP,)
        idp.answers["/jwks"] = hang
        slow = idp.entry("slow", issuer="https://slow.example")
        assert await now.remote.prepare([slow], 0.1) == ("slow",)


async def test_keys_that_come_while_a_reload_is_under_way_are_not_forgotten() -> None:
    go_on = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(keys("a"))

    async with provider() as idp, following() as now:
        idp.answers["/jwks"] = late
        assert await now.remote.prepare([idp.entry()], 0.05) == (CORP,)
        assert now.remote.get_keys([idp.entry()]) == {}  # the reload takes what there is: nothing
        go_on.set()
        await eventually(lambda: not _lacks(now.remote), "the fetch")
        assert now.changes == []
        now.issuers = (idp.entry(),)
        now.remote.follow(now.issuers)
        await eventually(lambda: now.changes == [CORP], "the keys in force")


def _lacks(remote: RemoteKeys) -> bool:
    return any(not followed.state.keys for followed in remote._all.values())


async def test_an_entry_that_goes_stops_its_fetch_and_tells_those_who_wait() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            idp.answers["/jwks"] = hang
            now.clock.advance(SPACING)
            now.remote.request_key(CORP, "b")
            told = asyncio.Event()
            now.remote.call_when_answered(CORP, told.set)
            await eventually(lambda: len(idp.asked) == 2, "the fetch")
            now.follow()
            await within(5, told.wait(), "the end of waiting")
            assert now.kids() == []


async def test_status_shows_the_addresses_and_what_they_answered() -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry(kind="discovery")) as now:
            await now.remote.wait_for_keys(10)
            now.clock.advance(5)
            assert now.remote.build_status() == {
                "corp": {
                    "keys": 1,
                    "age": 5.0,
                    "stale": False,
                    "next": LATEST - 5,
                    "fetches": 1,
                    "failures": 0,
                    "error": None,
                    "requests": [
                        {"url": f"{idp.url}/.well-known/openid-configuration", "answer": "200"},
                        {"url": f"{idp.url}/jwks", "answer": "200"},
                    ],
                    "unknown_kids": 0,
                }
            }


# --- the loop ---------------------------------------------------------------------------------------------------


class Pauses:
    """The longest turn of the loop, in CPU time of this thread: other processes do not count."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - before)
            before = now

    async def stop(self) -> float:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.longest


async def test_a_crowd_that_waited_does_not_hold_the_loop_when_it_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            told: list[int] = []

            def work(number: int) -> None:
                until = time.thread_time() + 0.0005
                while time.thread_time() < until:
                    pass
                told.append(number)
                if number == 7:
                    raise ValueError("its own mistake")

            now.clock.advance(SPACING)
            now.remote.request_key(CORP, "b")
            for number in range(1000):
                now.remote.call_when_answered(CORP, partial(work, number))
            pauses = Pauses()
            await eventually(lambda: len(told) == 1000, "all of them")
            assert await pauses.stop() < 0.05  # half a second at once
            assert told == list(range(1000))
    assert "reporting a fetched key failed" in caplog.text


LARGE = b", ".join([keyset(*map(str, range(8)))[len(b'{"keys": [') : -len(b"]}")]] * 60)

HOLDING: dict[str, bytes] = {
    "hundreds of good keys": b'{"keys": [' + LARGE + b"]}",
    "nothing but brackets": b'{"keys": [' + b"{}," * 80_000 + b"{}]}",
    "many strange keys": b'{"keys": [' + b'{"kty":"RSA","n":"AQAB","e":"AQAB"},' * 700 + b"{}]}",
    "an enormous number": b'{"keys": [{"kty":"RSA","e":"AQAB","n":"' + b"_" * 250_000 + b'"}]}',
    "a long string": b'{"keys": [], "x": "' + b"\\u0041" * 40_000 + b'"}',
}


@pytest.mark.parametrize("name", HOLDING)
async def test_no_answer_holds_the_loop(name: str) -> None:
    async with provider() as idp:
        idp.publish("a")
        async with following(idp.entry()) as now:
            await now.remote.wait_for_keys(10)
            idp.answers["/jwks"] = answer(HOLDING[name])
            pauses = Pauses()
            await now.fetch()
            assert await pauses.stop() < 0.05  # about 10 ms where nothing else runs; 200 without the bounds
