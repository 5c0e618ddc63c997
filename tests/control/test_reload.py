"""The reloader: all or nothing, one at a time, and the answer when it is done."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from compartmentd.configuration.settings import LogSettings
from compartmentd.configuration.snapshot import Snapshot
from compartmentd.control import builder as builder_module, reload as reload_module
from compartmentd.control.builder import build_first
from compartmentd.control.development import DevelopmentMode
from compartmentd.control.generation import FetchedKeys, Generation, Subscriber
from compartmentd.control.reload import Scope, judge_all
from compartmentd.control.reload_report import TakenIn
from compartmentd.errors import ConfigInvalid
from compartmentd.policy.ruleset import Ruleset
from compartmentd.sessions.pending import LONGEST_WAIT
from compartmentd.tokens.mint import make_development_secret
from tests.support.peer import RecordingPeer
from tests.support.questions import HandAsker, install
from tests.support.reloading import ControlPlane, Recorder
from tests.support.world import ISSUERS, World

POLICY = """version: 1
server: {listen: ["127.0.0.1:0"], admin: ["unix:/run/a.sock"]}
issuers:
  corp: {issuer: "https://id.example.com", audience: realtime, secret_file: corp.secret}
namespaces:
  /:
    connect: public
"""

PARTS = (Snapshot, Ruleset)


class Setup(ControlPlane):
    """The control plane on the policy, with its secret."""

    @classmethod
    def make(cls, directory: Path, *, development: bool = False) -> Setup:
        (directory / "corp.secret").write_text("s" * 40)
        path = directory / "compartments.yaml"
        path.write_text(POLICY)
        return cls.read(path, development=development)

    @property
    def secret(self) -> Path:
        return self.path.with_name("corp.secret")


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup.make(tmp_path)


@pytest.fixture
def developing(tmp_path: Path) -> Setup:
    """The same, as `serve --dev` runs it."""
    return Setup.make(tmp_path, development=True)


async def test_a_changed_file_is_a_new_generation(setup: Setup) -> None:
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    report = await setup.reloader.reload("test")
    assert (report.ok, report.changed, report.generation) == (True, True, 2)
    assert report.digest != setup.first.snapshot.digest
    assert setup.hub.snapshot.generation == 2
    assert "/chat" in setup.hub.snapshot.configuration.policy.namespaces
    assert len(setup.seen.adopted) == 1


@pytest.fixture
def _uncollected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(reload_module, "freeze_existing", lambda: None)  # frozen objects are not to be seen
    monkeypatch.setattr(reload_module, "without_collections", nullcontext)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_uncollected")
async def test_what_a_reload_replaces_is_gone_without_the_collector(setup: Setup) -> None:
    """A reload shows the collector nothing that exists at its end ever again: garbage would stay for good."""
    old = {id(each) for each in gc.get_objects() if isinstance(each, PARTS)}
    for number in range(3):
        setup.path.write_text(
            POLICY + f"  /chat{number}: {{connect: authenticated, rooms: {{a: {{join: public}}}}}}\n"
        )
        assert (await setup.reloader.reload("test")).changed
        setup.path.write_text("version: 2\n")
        assert not (await setup.reloader.reload("test")).ok
    setup.seen.adopted.clear()
    del setup.first
    for _ in range(3):
        await asyncio.sleep(0)  # the frames of what has just ended
    current = setup.hub.snapshot
    left = [each for each in gc.get_objects() if isinstance(each, PARTS) and id(each) not in old]
    assert [each for each in left if isinstance(each, Snapshot)] == [current]
    assert [each for each in left if isinstance(each, Ruleset)] == [current.rules]


async def test_the_same_content_changes_nothing(setup: Setup) -> None:
    setup.path.write_text(POLICY)
    report = await setup.reloader.reload("test")
    assert (report.ok, report.changed, report.generation) == (True, False, 1)
    assert setup.hub.snapshot is setup.first.snapshot
    assert setup.seen.adopted == []


async def test_who_comes_second_is_told_what_the_first_did(setup: Setup) -> None:
    assert (await setup.reloader.reload("request")).taken_in is None
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    first = await setup.reloader.reload("watch")
    assert first.taken_in is None
    for _ in range(2):
        second = await setup.reloader.reload("request")
        assert (second.changed, second.taken_in) == (False, TakenIn.from_report(first, "watch"))
    setup.secret.write_text("t" * 40)
    keys = await setup.reloader.reload("watch", Scope.KEYS)
    assert (await setup.reloader.reload("request")).taken_in == TakenIn.from_report(keys, "watch"), (
        "the latest save"
    )
    setup.path.write_text("version: 2\n")
    assert (await setup.reloader.reload("watch")).taken_in is None, "a refused one took nothing in"
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    assert (await setup.reloader.reload("request")).taken_in == TakenIn.from_report(keys, "watch")


async def test_keys_that_were_fetched_are_nobodys_save(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    first = await setup.reloader.reload("watch")
    others = FetchedKeys({}, "others than before")
    monkeypatch.setattr(FetchedKeys, "from_keys", lambda _: others)
    assert (await setup.reloader.reload("keys of corp", Scope.FETCHED_KEYS)).generation == 3
    second = await setup.reloader.reload("request")
    assert (second.generation, second.taken_in) == (3, TakenIn.from_report(first, "watch"))


async def test_a_bad_file_changes_nothing_and_says_where(setup: Setup) -> None:
    setup.path.write_text(POLICY.replace("connect: public", "conect: public"))
    report = await setup.reloader.reload("test")
    assert (report.ok, report.generation) == (False, 1)
    span = report.problems[0].span
    assert (span.line, span.column) == (7, 5)
    [told] = setup.seen.adopted
    assert told.refused is not None
    assert told.refused.files == (str(setup.path),)
    assert told.snapshot is setup.first.snapshot
    assert setup.hub.snapshot is setup.first.snapshot


async def test_a_missing_file_changes_nothing(setup: Setup) -> None:
    setup.path.unlink()
    report = await setup.reloader.reload("test")
    assert not report.ok
    assert setup.hub.snapshot is setup.first.snapshot


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('listen: ["127.0.0.1:0"]', 'listen: ["127.0.0.1:1"]', 2),
        ("/run/a.sock", "/run/b.sock", 2),
        ("server: {", "server: {path: /other/, ", 2),
        ("server: {", "server: {state: elsewhere, ", 2),
    ],
)
async def test_what_needs_a_restart_is_refused_and_named(setup: Setup, old: str, new: str, line: int) -> None:
    setup.path.write_text(POLICY.replace(old, new))
    report = await setup.reloader.reload("test")
    assert not report.ok
    assert [(p.code, p.span.line) for p in report.problems] == [("reload.needs-restart", line)]
    assert setup.hub.snapshot is setup.first.snapshot


async def test_a_changed_key_is_a_new_generation_with_the_same_digest(setup: Setup) -> None:
    setup.secret.write_text("t" * 40)
    report = await setup.reloader.reload("test", Scope.KEYS)
    assert (report.ok, report.changed, report.generation) == (True, True, 2)
    assert report.digest == setup.first.snapshot.digest
    assert not (await setup.reloader.reload("test", Scope.KEYS)).changed


async def test_keys_alone_take_no_other_change_along(setup: Setup) -> None:
    setup.secret.write_text("t" * 40)
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    assert (await setup.reloader.reload("test", Scope.KEYS)).changed
    assert "/chat" not in setup.hub.snapshot.configuration.policy.namespaces


@pytest.mark.parametrize("secret", ["short", "", None])
async def test_a_bad_key_changes_nothing(setup: Setup, secret: str | None) -> None:
    if secret is None:
        setup.secret.unlink()
    else:
        setup.secret.write_text(secret)
    for report in (await setup.reloader.reload("test", Scope.KEYS), await setup.reloader.reload("test")):
        assert not report.ok
        assert report.problems[0].span.line == 4
    assert setup.hub.snapshot is setup.first.snapshot


async def test_a_development_key_is_for_development(setup: Setup) -> None:
    setup.secret.write_bytes(make_development_secret())
    report = await setup.reloader.reload("test")
    assert [problem.code for problem in report.problems] == ["key.development"]
    with pytest.raises(ConfigInvalid):
        await build_first(str(setup.path), setup.remote)
    assert await build_first(str(setup.path), setup.remote, DevelopmentMode({}))


async def test_so_is_one_in_a_variable(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORP_SECRET", make_development_secret().decode().strip())
    setup.path.write_text(POLICY.replace("secret_file: corp.secret", "secret_env: CORP_SECRET"))
    report = await setup.reloader.reload("test")
    assert [problem.code for problem in report.problems] == ["key.development"]
    assert await build_first(str(setup.path), setup.remote, DevelopmentMode({}))


async def test_development_makes_the_secret_that_is_missing(developing: Setup) -> None:
    developing.path.write_text(POLICY.replace("corp.secret", "other.secret"))
    assert (await developing.reloader.reload("test")).changed
    made = developing.path.with_name("other.secret")
    assert made.read_bytes().startswith(b"compartmentd-development-")
    assert made.stat().st_mode & 0o777 == 0o600


async def test_what_the_system_refuses_before_anything_changed_is_a_refused_reload(
    developing: Setup, tmp_path: Path
) -> None:
    setup = developing
    setup.path.write_text(POLICY.replace("corp.secret", "missing/corp.secret"))
    report = await setup.reloader.reload("watch")
    assert (report.ok, report.generation) == (False, 1)
    (problem,) = report.problems
    assert (problem.code, problem.span.file) == ("reload.failed", str(setup.path))
    assert (
        problem.message == f"the reload failed: `{tmp_path}/missing/corp.secret`: no such file or directory"
    )
    assert setup.reloader.last == report
    assert setup.reloader.tally.refused == 1
    assert setup.hub.snapshot is setup.first.snapshot
    (tmp_path / "missing").mkdir()
    assert (await setup.reloader.reload("request")).changed


@pytest.mark.parametrize("scope", Scope)
async def test_any_kind_of_reload_may_be_refused_so(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, scope: Scope
) -> None:
    def fail(*_: Any, **_options: Any) -> Any:
        raise OSError(24, "Too many open files")

    for name in ("_compile", "_add_keys", "_add_fetched_keys", "_read_certificate"):
        monkeypatch.setattr(setup.builder, name, fail)
    report = await setup.reloader.reload("test", scope)
    assert [problem.message for problem in report.problems] == ["the reload failed: too many open files"]
    monkeypatch.undo()
    assert (await setup.reloader.reload("test", scope)).ok


class Failing(Subscriber):
    """Fails with the given error once it has adopted the first generation."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def adopt(self, generation: Generation) -> None:
        if generation.number > 1:
            raise self.error


async def test_what_fails_after_the_swap_is_no_refusal(setup: Setup) -> None:
    setup.reloader.subscribe(Failing(OSError(28, "No space left on device")))
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    with pytest.raises(OSError, match="No space"):
        await setup.reloader.reload("watch")
    assert setup.hub.snapshot.generation == 2


async def test_reloads_that_are_asked_for_meanwhile_are_one(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    begun = asyncio.Event()
    gates = [asyncio.Event() for _ in range(3)]
    compile_in_child = builder_module.compile_in_child

    async def gated(path: str, known: Any, *, development: bool) -> Any:
        number = len(compiled)
        compiled.append(setup.path.read_text())
        begun.set()
        await gates[number].wait()
        return await compile_in_child(path, known, development=development)

    monkeypatch.setattr(builder_module, "compile_in_child", gated)
    first = asyncio.create_task(setup.reloader.reload("first"))
    await begun.wait()
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    later = [asyncio.create_task(setup.reloader.reload(f"later {number}")) for number in range(5)]
    await asyncio.sleep(0)
    assert len(compiled) == 1  # one at a time
    for gate in gates:
        gate.set()
    await first
    reports = await asyncio.gather(*later)
    assert len(compiled) == 2  # exactly one more
    assert all(report is reports[0] for report in reports)
    assert "/chat" in setup.hub.snapshot.configuration.policy.namespaces


async def test_a_caller_that_goes_away_does_not_take_the_reload_with_it(setup: Setup) -> None:
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    caller = asyncio.create_task(setup.reloader.reload("caller"))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await setup.reloader.reload("after it")
    assert setup.hub.snapshot.generation == 2


async def test_half_a_file_is_read_once_more(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = POLICY + "  /chat: {connect: authenticated}\n"
    setup.path.write_text(whole[:-10])

    async def finish_writing(_: float) -> None:
        setup.path.write_text(whole)

    monkeypatch.setattr(builder_module, "SETTLE", 12.5)
    sleep = asyncio.sleep
    monkeypatch.setattr(
        builder_module.asyncio,
        "sleep",
        lambda seconds: finish_writing(seconds) if seconds == 12.5 else sleep(seconds),
    )
    assert (await setup.reloader.reload("watch")).changed


async def test_the_log_tells_each_generation(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "compartmentd")
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    await setup.reloader.reload("SIGHUP")
    setup.path.write_text("version: 2\n")
    await setup.reloader.reload("SIGHUP")
    events = [(record.event, record.levelname) for record in caplog.records]  # type: ignore[attr-defined]
    assert events[:2] == [("reloaded", "INFO"), ("reload_refused", "ERROR")]
    fields = caplog.records[0].fields  # type: ignore[attr-defined]
    assert fields.keys() >= {"cause", "seconds", "judged", "evicted_sessions", "evicted_memberships"}
    assert ("problem", "ERROR") in events[2:]


async def test_that_keys_are_well_does_not_hide_files_that_are_refused(setup: Setup) -> None:
    setup.path.write_text("version: 2\n")
    refused = await setup.reloader.reload("SIGHUP")
    setup.secret.write_text("t" * 40)
    assert (await setup.reloader.reload("watch", Scope.KEYS)).changed
    await setup.reloader.reload("test", Scope.FETCHED_KEYS)
    assert setup.reloader.last == refused
    setup.path.write_text(POLICY)
    mended = await setup.reloader.reload("SIGHUP")
    assert setup.reloader.last == mended
    setup.secret.write_text("short")
    refused = await setup.reloader.reload("watch", Scope.KEYS)
    await setup.reloader.reload("test", Scope.FETCHED_KEYS)
    assert setup.reloader.last == refused
    setup.secret.write_text("t" * 40)
    await setup.reloader.reload("watch", Scope.KEYS)
    assert setup.reloader.last is not None
    assert setup.reloader.last.ok


async def test_everyone_is_judged_whatever_fails_besides(setup: Setup) -> None:
    peer = RecordingPeer()
    setup.hub.connect(peer, "/", None)

    failing = Failing(RuntimeError("no thread is left"))
    setup.reloader.subscribe(failing)
    setup.path.write_text(POLICY.replace("connect: public", "connect: authenticated"))
    with pytest.raises(RuntimeError):
        await setup.reloader.reload("test")
    assert not peer.sessions


class Bracket(Failing):
    """Counts the reloads that began and ended."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.begun = self.ended = 0

    def begin(self) -> None:
        self.begun += 1

    def end(self) -> None:
        self.ended += 1


async def test_the_end_of_a_reload_is_told_however_it_ends(setup: Setup) -> None:
    bracket = Bracket(RuntimeError("failed"))
    setup.reloader.subscribe(bracket)
    await setup.reloader.reload("unchanged")
    setup.path.write_text("version: 2\n")
    await setup.reloader.reload("refused")
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    with pytest.raises(RuntimeError):
        await setup.reloader.reload("failed")
    assert (bracket.begun, bracket.ended) == (3, 3)


async def test_what_a_later_subscriber_missed_it_adopts_at_once(setup: Setup) -> None:
    setup.path.write_text(POLICY + "  /chat: {connect: authenticated}\n")
    await setup.reloader.reload("test")
    late = Recorder()
    setup.reloader.subscribe(late)
    assert [generation.number for generation in late.adopted] == [2]


async def test_files_are_handed_over_once_and_then_let_go(setup: Setup) -> None:
    text = POLICY + "  /chat: {connect: authenticated}\n"
    setup.path.write_text(text)
    await setup.reloader.reload("test")
    setup.secret.write_text("t" * 40)
    await setup.reloader.reload("test", Scope.KEYS)
    new, keys = setup.seen.adopted
    assert dict(new.loaded.contents) == {"compartments.yaml": text.encode()}
    assert keys.loaded.contents == setup.reloader.generation.loaded.contents == ()


async def test_log_settings_outlive_a_reload(setup: Setup) -> None:
    setup.path.write_text(POLICY + "log: {decisions: all, claims: [azp]}\n")
    assert (await setup.reloader.reload("test")).changed
    assert setup.seen.adopted[-1].configuration.log == LogSettings(claims=(("azp",),), decisions="all")


ASKING = (
    ISSUERS
    + """
namespaces:
  /chat: {connect: authenticated}
"""
)


@pytest.mark.parametrize("ending", ["an answer", "no answer in time", "the connection"])
def test_judging_sleeps_while_a_session_waits_for_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    install(monkeypatch)
    asker = HandAsker()
    world = World(tmp_path, ASKING, asker=asker)
    clients = [world.connect("/chat", name) for name in ("ann", "bob")]
    sessions = [client.session for client in clients]
    turns = []
    judge_some = world.hub.judge_some
    monkeypatch.setattr(world.hub, "judge_some", lambda budget: turns.append(budget) or judge_some(budget))

    async def run() -> None:
        world.swap(ASKING.replace("authenticated", '{scope: "ask:a"}'))
        if ending == "no answer in time":
            world.hub.judge_some(1.0)  # so that the wait has begun
            world.clock.advance(LONGEST_WAIT - 0.05)
            turns.clear()
        judging = asyncio.create_task(judge_all(world.hub))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not judging.done()
        assert len(turns) < 100, "it spins: that would take 333 turns"
        if ending == "an answer":
            asker.answer(True)
            asker.answer(True)
        elif ending == "the connection":
            for client in clients:
                client.lose_connection()
        else:
            world.clock.advance(0.1)
        await asyncio.wait_for(judging, 30)

    asyncio.run(run())
    assert len(turns) < 100
    assert [session.ended for session in sessions] == [ending != "an answer"] * 2
    assert world.hub.judge_some(1.0)
