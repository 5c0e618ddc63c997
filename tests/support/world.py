"""The hub without a server: a configuration, a clock that tests move, and clients that are recorded."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt

from compartmentd.configuration.compiler import load
from compartmentd.configuration.snapshot import Snapshot, build_snapshot, read_local_keys
from compartmentd.keys.files import read_material
from compartmentd.names import Subject
from compartmentd.policy.codes import Code
from compartmentd.policy.templates.dispatch import run_to_end
from compartmentd.problems import has_errors
from compartmentd.sessions.audit import Record
from compartmentd.sessions.environment import Environment
from compartmentd.sessions.hub import Hub
from compartmentd.sessions.key_wait import KeyFinder
from compartmentd.sessions.pending import Asker
from compartmentd.storage.files import Disk
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.keyset import KeySet
from tests.support.peer import RecordingPeer

SECRET = "a secret of at least thirty-two bytes, for tests"
START = 1_800_000_000.0

ISSUERS = """
version: 1
issuers:
  corp:
    issuer: https://id.example.com
    audience: realtime
    secret_file: corp.secret
"""


class HandClock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now = START
        self.steady = 1000.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.steady

    def advance(self, seconds: float) -> None:
        """Let time pass on both."""
        self.now += seconds
        self.steady += seconds


class Client:
    """One session of a connection, as its client sees it."""

    def __init__(self, world: World, peer: RecordingPeer, namespace: str) -> None:
        self.world = world
        self.peer = peer
        self.namespace = namespace
        self._ids = itertools.count()

    @property
    def session(self) -> Any:
        return self.peer.sessions[self.namespace]

    @property
    def rooms(self) -> list[str]:
        """The rooms it is in, sorted."""
        return sorted(self.session.memberships)

    def emit(self, *event: Any) -> None:
        """Send an event without an ack id."""
        self._send(None, json.dumps(event, separators=(",", ":")).encode())

    def ask(self, *event: Any) -> Any:
        """Send an event and return what its ack says; what else arrives stays in `peer.sent`."""
        return self.ask_raw(json.dumps(event, separators=(",", ":")).encode())

    def ask_raw(self, payload: bytes, *attachments: bytes) -> Any:
        """Send an event's JSON as it is."""
        ack = next(self._ids)
        self._send(ack, payload, *attachments)
        answers = [item for item in self.peer.sent if item[:3] == ("ack", self.namespace, ack)]
        assert len(answers) == 1, self.peer.sent
        self.peer.sent.remove(answers[0])
        return answers[0][3]

    def _send(self, ack: int | None, payload: bytes, *attachments: bytes) -> None:
        digits = None if ack is None else b"%d" % ack
        self.world.hub.handle_event(self.session, digits, payload, attachments)

    def lose_connection(self, reason: str = "transport close") -> None:
        """End the connection as a network does."""
        self.world.hub.handle_close(self.peer, list(self.peer.sessions.values()), reason)

    def code(self, *event: Any) -> str | None:
        """Send an event and return the code of its refusal, `None` if it is allowed."""
        answer = self.ask(*event)
        return None if answer["ok"] else answer["error"]["code"]

    def take(self) -> list[Any]:
        """Return what arrived since the last look, without connection matters."""
        return [item[2] if item[0] == "event" else item for item in self.peer.take()]


class World:
    """A hub on a configuration, which `reload` replaces."""

    def __init__(
        self,
        directory: Path,
        text: str,
        *,
        keys: KeyFinder | None = None,
        asker: Asker | None = None,
        parking: float = 0.0,
        find_network: Callable[[str], str] = str,
        **files: str,
    ) -> None:
        self.directory = directory
        self.clock = HandClock()
        self.records: list[Record] = []
        self.observed: list[tuple[str, str, Subject | None]] = []
        self.wanted = True
        self.with_values = False
        self.refs = ""
        self.failures: list[Exception] = []
        (directory / "corp.secret").write_text(SECRET + "\n")
        for name, content in files.items():
            (directory / name.replace("__", ".")).write_text(content)
        sids = (f"sid-{number}" for number in itertools.count())
        self.hub = Hub(
            self.snapshot(text, 1),
            Environment(
                clock=self.clock,
                new_sid=sids.__next__,
                report_error=self.failures.append,
                audit_log=self,
                keys=keys,
                asker=asker,
                find_network=find_network,
                report_observed=lambda *observed: self.observed.append(observed),
            ),
            parking=parking,
        )

    @property
    def shows_values(self) -> bool:
        """Show values where the test asks for them."""
        return self.with_values

    def wants(self, code: Code | None) -> bool:
        """Want every record while `wanted` is true."""
        del code
        return self.wanted

    def write(self, record: Record) -> str:
        """Be the hub's audit log; the reference is the record's number."""
        self.records.append(record)
        return self.refs and f"ref{len(self.records)}"

    def snapshot(self, text: str, generation: int) -> Snapshot:
        """Compile a configuration."""
        path = self.directory / "compartments.yaml"
        path.write_text(text)
        loaded = load(str(path), Disk(), serving=True)
        assert loaded.configuration is not None, "\n".join(problem.as_text() for problem in loaded.problems)
        assert not has_errors(loaded.problems)
        keys = self.keyset(loaded.configuration.issuers)
        return run_to_end(build_snapshot(loaded.configuration, loaded.digest, keys, generation))

    def keyset(self, issuers: tuple[IssuerEntry, ...]) -> KeySet:
        """Read the keys of the entries."""
        keys, problems = read_local_keys(issuers, read_material(issuers, development=True)[0])
        assert not problems
        return keys

    def swap(self, text: str) -> None:
        """Put another configuration in force without judging anybody yet."""
        self.hub.swap(self.snapshot(text, self.hub.snapshot.generation + 1))

    def reload(self, text: str) -> tuple[int, int]:
        """Put another configuration in force, judge everybody, and return what was evicted."""
        self.swap(text)
        while not self.hub.judge_some(1.0):
            pass
        return self.hub.evicted.sessions, self.hub.evicted.memberships

    def token(self, sub: str, **claims: Any) -> str:
        """Return a token; a claim given as `...` is left out."""
        now = int(self.clock.now)
        body = {"iss": "https://id.example.com", "aud": "realtime", "sub": sub, "iat": now, "exp": now + 3600}
        payload = {name: value for name, value in {**body, **claims}.items() if value is not ...}
        return jwt.encode(payload, SECRET, algorithm="HS256")

    def try_connect(
        self, namespace: str, sub: str | None = None, peer: RecordingPeer | None = None, **claims: Any
    ) -> Client:
        """Send a CONNECT, with a token of these claims unless `sub` is `None`."""
        peer = peer or RecordingPeer()
        auth = None if sub is None else json.dumps({"token": self.token(sub, **claims)}).encode()
        self.hub.connect(peer, namespace, auth)
        return Client(self, peer, namespace)

    def connect(
        self, namespace: str, sub: str | None = None, peer: RecordingPeer | None = None, **claims: Any
    ) -> Client:
        """Connect a client, which must succeed; what it got with that is taken."""
        client = self.try_connect(namespace, sub, peer, **claims)
        assert namespace in client.peer.sessions, client.peer.sent
        client.peer.take()
        return client

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass and do what it asks for."""
        self.clock.advance(seconds)
        while self.hub.tick(1.0):
            pass
