"""The certificate at reloads: a pair that fits is used from then on, one that does not changes nothing."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from compartmentd.control import builder as builder_module
from compartmentd.control.reload import Scope
from compartmentd.errors import ConfigInvalid
from compartmentd.storage.certificates import Certificate
from tests.support import certificates
from tests.support.reloading import ControlPlane, build

POLICY = """version: 1
server:
  listen: ["127.0.0.1:0"]
  tls: {cert: server.crt, key: server.key}
namespaces:
  /: {connect: public}
"""


class Setup:
    """A reloader on a real file that names a pair; `used` are the certificates that the listeners were given."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "compartments.yaml"
        self.path.write_text(POLICY)
        self.renew(certificates.make())
        self.plane = ControlPlane.read(self.path)
        self.hub, self.reloader = self.plane.hub, self.plane.reloader

    @property
    def used(self) -> list[Certificate | None]:
        """What the listeners were given, each once."""
        found = [self.plane.first.certificate]
        for generation in self.plane.seen.adopted:
            if generation.certificate is not found[-1]:
                found.append(generation.certificate)
        return found[1:]

    def renew(self, pair: certificates.Pair) -> None:
        certificates.write(self.directory, pair)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_a_pair_that_does_not_fit_is_no_start(setup: Setup) -> None:
    (setup.directory / "server.key").write_bytes(certificates.make().key)
    with pytest.raises(ConfigInvalid) as caught:
        build(setup.path)
    [problem] = caught.value.problems
    assert (problem.code, problem.span.line, problem.span.column) == ("certificate.mismatch", 4, 32)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_renewed_pair_is_used_and_is_no_generation(setup: Setup, whole: bool) -> None:
    setup.renew(certificates.make(ends=60))
    scope = Scope.ALL if whole else Scope.CERTIFICATE
    report = await setup.reloader.reload("test", scope)
    assert (report.ok, report.changed, report.generation, report.judged) == (True, True, 1, 0)
    assert setup.used == [setup.reloader.generation.certificate]
    assert (await setup.reloader.reload("test", scope)).changed is False
    assert len(setup.used) == 1


@pytest.mark.parametrize("whole", [True, False])
async def test_a_pair_that_does_not_fit_changes_nothing_and_says_where(setup: Setup, whole: bool) -> None:
    before = setup.reloader.generation.certificate
    (setup.directory / "server.key").write_bytes(certificates.make().key)
    if whole:
        setup.path.write_text(POLICY + "  /chat: {connect: public}\n")
    report = await setup.reloader.reload("test", Scope.ALL if whole else Scope.CERTIFICATE)
    assert (report.ok, report.generation) == (False, 1)
    [problem] = report.problems
    assert (problem.code, problem.span.line, problem.span.column) == ("certificate.mismatch", 4, 32)
    assert setup.reloader.last == report
    assert setup.reloader.generation.certificate is before
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

    monkeypatch.setattr(builder_module.asyncio, "sleep", meanwhile)
    report = await setup.reloader.reload("watch", Scope.CERTIFICATE)
    assert (report.ok, report.changed) == (True, True)
    assert waited == [builder_module.SETTLE]


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
    report = await setup.reloader.reload("test", Scope.CERTIFICATE)
    assert report.ok
    assert [problem.code for problem in report.problems] == ["certificate.untimely"]
    assert len(setup.used) == 1


async def test_a_pair_at_fault_does_not_keep_keys_from_changing(setup: Setup) -> None:
    (setup.directory / "server.key").unlink()
    report = await setup.reloader.reload("test", Scope.KEYS)
    assert report.ok
