"""One attack with its calm twin: the same daemon and well-behaved clients, first without it and then beside it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.abuse.attack import MIB, Attack
from tests.abuse.bystander import CLIENT, Bystanders, Waits, percentile
from tests.abuse.process import Peaks, Usage, counts, grown, usage, wait_for_calm
from tests.support import certificates
from tests.support.daemon import Daemon
from tests.support.mint import Issuer
from tests.support.timing import seconds

ROOT = Path(__file__).parent.parent.parent

PAIR = certificates.make()

CALM = 3.0
"""Seconds of the calm twin."""

COMES_BACK = 8.0
"""Seconds after an attack within which memory and descriptors are where they were."""

SETTINGS: dict[str, Any] = {
    "namespaces": {
        "/": {
            "connect": "authenticated",
            "rooms": {
                "room:{name}": {"join": "authenticated", "publish": "members", "events": ["message"]},
                "staff:{name}": {"join": {"scope": "staff"}},
            },
        },
        "/pub": {
            "connect": "public",
            "rooms": {
                "lobby": {"join": "public", "publish": "members", "events": ["message"]},
                "open:{name}": {"join": "public"},
            },
        },
    }
}


@dataclass
class Outcome:
    """What an attack came to."""

    attack: Attack
    calm: Waits
    under: Waits
    cpu: float
    before: Usage
    peak_memory: int
    peak_descriptors: int
    after: Usage
    refused: dict[str, int]
    seen: dict[str, int]
    wrong: list[str]
    lived: bool
    log: str

    def faults(self) -> list[str]:
        """Return what must not be, each as a sentence; empty where the daemon held."""
        attack, before, after = self.attack, self.before, self.after
        found = [*self.wrong, *self.under.notes]
        if not self.lived:
            found.append("the daemon died")
        if "Traceback (most recent call last)" in self.log:
            found.append("an error came out that nobody handled")
        if len(self.log) > MOST_LOG:
            found.append(f"the log grew by {len(self.log) / MIB:.1f} MiB")
        if any(not line.startswith("{") for line in self.log.split("\n") if line):
            found.append("the log has a line that is none of ours")
        if self.peak_descriptors > before.descriptors + attack.most:
            found.append(f"{self.peak_descriptors - before.descriptors} descriptors were taken")
        longest = max(self.under.ends, default=0.0) if attack.waits else self.under.longest
        if longest > seconds(1):
            found.append(
                f"well-behaved clients waited too long: acks {worst(self.under.acks)}, "
                f"newcomers {worst(self.under.newcomers)}, ends of sessions {worst(self.under.ends)}, "
                f"logouts {worst(self.under.logouts)}"
            )
        if self.peak_memory - before.memory > attack.peak * MIB:
            found.append(f"memory grew by {(self.peak_memory - before.memory) / MIB:.0f} MiB")
        if after.memory - before.memory > attack.left * MIB:
            found.append(f"{(after.memory - before.memory) / MIB:.0f} MiB did not come back")
        if after.descriptors > before.descriptors + SLACK:
            found.append(f"{after.descriptors - before.descriptors} descriptors did not come back")
        return found

    @property
    def calm_p99(self) -> float:
        return percentile(self.calm.acks, 0.99)

    @property
    def p99(self) -> float:
        return percentile(self.under.acks, 0.99)


MOST_LOG = 1 * MIB
"""Bytes of log that an attack may cause."""

SLACK = 4
"""Descriptors more than before that mean nothing."""


def worst(waits: list[float]) -> str:
    return f"{max(waits, default=0.0):.2f} s"


def make_daemon(directory: Path, attack: Attack, issuer: Issuer) -> Daemon:
    """Return the daemon that is attacked, not started."""
    settings = {**SETTINGS, **attack.settings, "server": {"origins": ["*"], **attack.server}}
    settings.setdefault("issuers", {issuer.name: issuer.settings(logout={"audience": CLIENT})})
    if attack.tls:
        certificates.write(directory, PAIR)
        settings["server"]["tls"] = {"cert": "server.crt", "key": "server.key"}
    return Daemon(directory, settings, issuer)


@contextmanager
def attacking(attack: Attack, daemon: Daemon, issuer: Issuer) -> Iterator[subprocess.Popen[str]]:
    """Let the attacker's process run; it is ended with the block."""
    tokens = [issuer.token(f"mallory-{index}", **attack.claims) for index in range(attack.tokens)]
    admin = any(address.startswith("127.") for address in daemon.settings["server"]["admin"])
    order = {
        "attack": attack.name,
        "host": "127.0.0.1",
        "port": daemon.port,
        "admin": ["127.0.0.2", daemon._port_at("127.0.0.2")] if admin else None,
        "tokens": tokens,
        "seconds": attack.seconds,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.abuse.attacker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.communicate()


def run(attack: Attack, directory: Path) -> Outcome:
    """Start a daemon, behave, attack it while behaving, and look at what is left."""
    issuer = Issuer("idp", algorithm="HS256")
    daemon = make_daemon(directory, attack, issuer)
    try:
        daemon.start()
        outcome = asyncio.run(_run(attack, daemon, issuer))
        assert daemon.process is not None
        outcome.lived = daemon.process.poll() is None and daemon.stop() == 0
        outcome.log = daemon.log
    finally:
        daemon.abandon()
    return outcome


async def _run(attack: Attack, daemon: Daemon, issuer: Issuer) -> Outcome:
    assert daemon.process is not None
    pid = daemon.process.pid
    tls = certificates.trusting(PAIR) if attack.tls else None
    bystanders = Bystanders(daemon.url, issuer, tls)
    await bystanders.enter()
    await bystanders.watch(1.0)  # for caches and pools that fill once
    calm = await bystanders.watch(CALM)
    await asyncio.sleep(0.3)
    counted = await asyncio.to_thread(counts, daemon)
    before = usage(pid)
    peaks = Peaks(pid)
    peaks.start()
    with attacking(attack, daemon, issuer) as process:
        assert process.stdout is not None
        reported = asyncio.create_task(asyncio.to_thread(process.stdout.readline))
        under = await bystanders.watch(attack.seconds + 1.5)
        report = json.loads(await asyncio.wait_for(reported, seconds(30)) or "{}")
        busy = usage(pid).cpu - before.cpu
        if not attack.stays:
            process.kill()
        after = await asyncio.to_thread(
            wait_for_calm,
            pid,
            memory=before.memory + attack.left * MIB,
            descriptors=before.descriptors + SLACK,
            patience=seconds(attack.stays or COMES_BACK),
        )
    peaks.stop()
    refused = grown(counted, await asyncio.to_thread(counts, daemon))
    await bystanders.leave()
    return Outcome(
        attack=attack,
        calm=calm,
        under=under,
        cpu=busy,
        before=before,
        peak_memory=peaks.memory,
        peak_descriptors=peaks.descriptors,
        after=after,
        refused=refused,
        seen=report.get("seen", {}),
        wrong=report.get("wrong", ["the attacker died without a report"]),
        lived=True,
        log="",
    )
