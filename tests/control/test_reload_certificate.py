"""The certificate at reloads: a pair that fits is used from then on, one that does not changes nothing."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from compartmentd.control import reload as reload_module
from compartmentd.control.first_generation import certificate_of, start_up
from compartmentd.control.reload import Reloader
from compartmentd.errors import ConfigInvalid
from compartmentd.keys.remote import RemoteKeys
from compartmentd.names import EntryName
from compartmentd.sessions.hub import Hub
from compartmentd.storage.certificates import Certificate
from tests.support import certificates
from tests.support.world import HandClock

POLICY = """version: 1
server:
  listen: ["127.0.0.1:0"]
  tls: {cert: server.crt, key: server.key}
namespaces:
  /: {connect: public}
"""


async def _no_keys(entry: EntryName) -> None:
    raise AssertionError(entry)


class Setup:
    """A reloader on a real file that names a pair; `used` are the certificates that the listeners were given."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "compartments.yaml"
        self.path.write_text(POLICY)
        self.renew(certificates.make())
        in_force, _ = start_up(str(self.path), development=False, passed={})
        first, _ = certificate_of(in_force.snapshot.configuration.server)
        self.used: list[Certificate | None] = []
        self.hub = Hub(in_force.snapshot, clock=HandClock(), new_sid=str, failed=_raise)
        self.reloader = Reloader(
            str(self.path),
            self.hub,
            in_force,
            remote=RemoteKeys(_no_keys),
            development=False,
            took_force=lambda _: None,
            was_refused=lambda _loaded, _at: None,
            certificate=first,
            secure=self.used.append,
        )

    def renew(self, pair: certificates.Pair) -> None:
        certificates.write(self.directory, pair)


def _raise(error: Exception) -> None:
    raise error


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_a_pair_that_does_not_fit_is_no_start(setup: Setup) -> None:
    (setup.directory / "server.key").write_bytes(certificates.make().key)
    configuration = setup.hub.snapshot.configuration
    with pytest.raises(ConfigInvalid) as caught:
        certificate_of(configuration.server)
    [problem] = caught.value.problems
    assert (problem.code, problem.span.line, problem.span.column) == ("certificate_mismatch", 4, 32)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_renewed_pair_is_used_and_is_no_generation(setup: Setup, whole: bool) -> None:
    setup.renew(certificates.make(ends=60))
    run = setup.reloader.reload if whole else setup.reloader.reload_certificate
    report = await run("test")
    assert (report.ok, report.changed, report.generation, report.judged) == (True, True, 1, 0)
    assert setup.used == [setup.reloader.certificate]
    assert (await run("test")).changed is False
    assert len(setup.used) == 1


@pytest.mark.parametrize("whole", [True, False])
async def test_a_pair_that_does_not_fit_changes_nothing_and_says_where(setup: Setup, whole: bool) -> None:
    before = setup.reloader.certificate
    (setup.directory / "server.key").write_bytes(certificates.make().key)
    if whole:
        setup.path.write_text(POLICY + "  /chat: {connect: public}\n")
    report = await (setup.reloader.reload if whole else setup.reloader.reload_certificate)("test")
    assert (report.ok, report.generation) == (False, 1)
    [problem] = report.problems
    assert (problem.code, problem.span.line, problem.span.column) == ("certificate_mismatch", 4, 32)
    assert setup.reloader.last == report
    assert setup.reloader.certificate is before
    assert not setup.used
    assert "/chat" not in setup.hub.snapshot.configuration.policy.namespaces


async def test_a_pair_that_is_being_replaced_is_looked_at_once_more(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = certificates.make()
    (setup.directory / "server.crt").write_bytes(pair.cert)
    waited: list[float] = []

    async def meanwhile(seconds: float) -> None:
        waited.append(seconds)
        (setup.directory / "server.key").write_bytes(pair.key)

    monkeypatch.setattr(reload_module.asyncio, "sleep", meanwhile)
    report = await setup.reloader.reload_certificate("watch")
    assert (report.ok, report.changed) == (True, True)
    assert waited == [reload_module.SETTLE]


async def test_tls_comes_and_goes_with_the_configuration(setup: Setup) -> None:
    setup.path.write_text(POLICY.replace("  tls: {cert: server.crt, key: server.key}\n", ""))
    report = await setup.reloader.reload("test")
    assert (report.ok, report.generation) == (True, 2)
    assert setup.used == [None]
    setup.path.write_text(POLICY)
    await setup.reloader.reload("test")
    assert isinstance(setup.used[1], Certificate)
    assert isinstance(setup.used[1].context, ssl.SSLContext)


async def test_an_expired_certificate_is_used_and_warned_of(setup: Setup) -> None:
    setup.renew(certificates.make(starts=-2, ends=-1))
    report = await setup.reloader.reload_certificate("test")
    assert report.ok
    assert [problem.code for problem in report.problems] == ["certificate_untimely"]
    assert len(setup.used) == 1


async def test_a_pair_at_fault_does_not_keep_keys_from_changing(setup: Setup) -> None:
    (setup.directory / "server.key").unlink()
    report = await setup.reloader.reload_keys("test")
    assert report.ok
