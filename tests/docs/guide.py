"""The people of a documentation page, in sessions on the page's own configuration.

A page has a configuration, a table of people (`| person | claims |`), and tables that say who does what
(`| who | does | answer |`) or is where (`| who | finds itself in |`). What such a table says is decided by the
server's own hub, with signed tokens.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import yaml

from tests.support.markdown import blocks, code, tables
from tests.support.peer import RecordingPeer
from tests.support.world import Client, World

NOBODY = "nobody"
DATA = {"text": "hello"}
SCHEMA = (Path(__file__).parents[2] / "config/events/message.schema.json").read_text()


class Part(NamedTuple):
    """A configuration of a page, with the people and tables that stand below it."""

    configuration: str
    people: Mapping[str, Mapping[str, Any]]
    requests: list[tuple[str, str, str]]
    rooms: list[tuple[str, list[str]]]


def parts(text: str) -> list[Part]:
    """Divide a page by its configurations; those without people are left out."""
    found = []
    starts = [text.index(block) for block in blocks(text, "yaml")]
    for start, end in itertools.pairwise([*starts, len(text)]):
        section = "```yaml\n" + text[start:end]
        people = {
            code(name)[0]: json.loads(code(claims)[0])
            for table in tables(section, "person", "claims")
            for name, claims in table
        }
        if people:
            found.append(Part(blocks(section, "yaml")[0], people, requests(section), rooms(section)))
    return found


def requests(section: str) -> list[tuple[str, str, str]]:
    """Return who does what, and the answer: `allowed` or a code."""
    return [
        (code(who)[0], does, answer.split(":")[0].strip("`"))
        for table in tables(section, "who", "does", "answer")
        for who, does, answer in table
    ]


def rooms(section: str) -> list[tuple[str, list[str]]]:
    """Return who finds itself in which rooms."""
    return [
        (code(who)[0], code(names))
        for table in tables(section, "who", "finds itself in")
        for who, names in table
    ]


class Guide(World):
    """A hub on a page's configuration; each entry has a secret in place of the keys that it names."""

    def __init__(self, directory: Path, configuration: str, people: Mapping[str, Mapping[str, Any]]) -> None:
        self.people = {**people, NOBODY: None}
        self.issuers: dict[str, tuple[str, str, str]] = {}
        (directory / "events").mkdir()
        (directory / "events/message.schema.json").write_text(SCHEMA)
        super().__init__(directory, self.with_secrets(directory, configuration))

    def with_secrets(self, directory: Path, configuration: str) -> str:
        """Return the configuration with a secret for each entry."""
        settings = yaml.safe_load(configuration)
        for name, entry in settings["issuers"].items():
            secret = f"the secret of {name}, of at least thirty-two bytes"
            (directory / f"{name}.shared-secret").write_text(secret)
            self.issuers[entry["issuer"]] = (name, entry["audience"], secret)
            settings["issuers"][name] = {
                "issuer": entry["issuer"],
                "audience": entry["audience"],
                "secret_file": f"{name}.shared-secret",
            }
        return yaml.safe_dump(settings, sort_keys=False)

    def token(self, sub: str, **claims: Any) -> str:
        """Return a token of the entry that `iss` names, or of the only one."""
        issuer = claims.pop("iss", None) or next(iter(self.issuers))
        _, audience, secret = self.issuers[issuer]
        now = int(self.clock.now)
        times = {"iat": now, "exp": now + 3600}
        return jwt.encode(
            {"iss": issuer, "aud": audience, **times, "sub": sub, **claims}, secret, algorithm="HS256"
        )

    @property
    def namespace(self) -> str:
        """The first namespace of the configuration, which a table means where it names none."""
        return next(iter(self.hub.snapshot.configuration.policy.namespaces))

    def enter(self, person: str, namespace: str) -> Client | str:
        """Connect a person; return the client, or the code of the refusal."""
        claims = dict(self.people[person] or {})
        peer = RecordingPeer()
        self.try_connect(namespace, claims.pop("sub", None), peer, **claims)
        if namespace in peer.sessions:
            return Client(self, peer, namespace)
        [(_, _, _, data)] = peer.sent
        return str(data["code"])

    def answer(self, person: str, does: str) -> str:
        """Do what a table says, and return the answer: `allowed` or a code."""
        verb, *_ = does.split()
        named = code(does)
        namespace = next((name for name in named if name.startswith("/")), self.namespace)
        client = self.enter(person, namespace)
        if verb == "connects" or isinstance(client, str):
            return client if isinstance(client, str) else "allowed"
        if verb == "joins":
            refused = client.code("join", named[0])
        else:
            assert verb == "publishes", does
            event, room = named[:2]
            if not does.endswith("from outside"):
                assert client.code("join", room) is None or room in client.rooms, does
            refused = client.code("publish", room, event, DATA)
        return refused or "allowed"
