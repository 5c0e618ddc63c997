"""Every suggestion of a help that is YAML passes `check` where it belongs, so that it can be pasted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from compartmentd.configuration.compiler import load
from compartmentd.document.bundled import schema
from compartmentd.document.elsewhere import translate_key
from compartmentd.document.elsewhere_keys import ANYWHERE, KEYS
from compartmentd.document.elsewhere_rules import RULE_KEYS, RULE_WORDS
from compartmentd.document.elsewhere_values import BY_VALUE
from compartmentd.document.source import Source
from compartmentd.document.yamldoc import parse
from tests.support.cases import InMemory

TABLES = {**KEYS, "rule": RULE_KEYS}
TOP = "top"
SECRET = {"SECRET": b"s" * 32}
FORMS = (
    (r"\bRULE\b", "authenticated"),
    (r"\b(A|B|CONDITION)\b", "{scope: a}"),
    (r"\b(NAME|CLAIM|VALUE|ROOM)\b", "p"),
    (r"\bVARIABLE\b", "SECRET"),
    (r"\bFILE\b", "file.json"),
    (r"\bPARAMETER\b", "p"),
    (r"\b(LOW|HIGH)\b", "5"),
    (r"\[\.\.\.\]", "[authenticated]"),
    (r", \.\.\.", ""),
    (r'"?https://\.\.\."?', '"https://id.example.com"'),
    (r"\.\.\.", "realtime"),
)
"""What helps write for what is not known, with an example of it."""


def read_yaml(text: str) -> Any:
    root = parse(Source("f", text + "\n")).root
    return None if root is None else root.data


def list_snippets(help_: str) -> Iterator[Any]:
    """Yield the values that a help shows as YAML: mappings, and conditions in `{...}`."""
    for snippet in re.findall(r"`([^`]+)`", help_):
        if snippet == "{...}" or not (snippet.startswith("{") or re.match(r'[\w"/:.{}-]+: .', snippet)):
            continue
        text = snippet
        for form, example in FORMS:
            text = re.sub(form, example, text)
        value = read_yaml(text if text.startswith("{") else f"{{{text}}}")
        assert isinstance(value, dict), f"`{snippet}` of {help_!r} is no YAML"
        yield value


def build_file() -> dict[str, Any]:
    room = {"join": "authenticated", "publish": "members", "events": ["message"]}
    lobby = {"join": "authenticated"}
    entry = {"issuer": "https://p.example.com", "audience": "realtime", "secret_env": "SECRET"}
    namespace = {"issuers": ["corp"], "connect": "authenticated", "rooms": {"r:{p}": room, "p": lobby}}
    return {
        "version": 1,
        "issuers": {
            "p": {**entry, "use": ["admin"]},
            "corp": {"issuer": "https://id.example.com", "audience": "realtime", "secret_env": "SECRET"},
            "ops": {
                "issuer": "https://ops.example.com", "audience": "ops", "secret_env": "SECRET", "use": ["admin"],
            },
        },
        "rules": {"admin": {"scope": "admin"}, "staff": {"scope": "staff"}, "p": {"scope": "p"}},
        "namespaces": {"/": namespace},
    }  # fmt: skip


TESTS = {
    name
    for name, part in schema()["$defs"]["rule"]["dependentSchemas"].items()
    if "of_something" in str(part)
}


def put(definition: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return a file in which a suggestion stands where its keys belong."""
    whole = build_file()
    namespace = whole["namespaces"]["/"]
    room = namespace["rooms"]["r:{p}"]
    key, part = next(iter(value.items()))
    rule = schema()["$defs"]["rule"]["properties"]
    if definition not in TABLES or key not in get_keys(definition):
        definition = next(
            name
            for name in ("top", "rule", "room", "server", "limits", "issuer", "namespace", "event")
            if key in get_keys(name)
        )
    if definition == "namespace" and key == "issuers":
        whole["issuers"] |= {
            name: {**whole["issuers"]["corp"], "issuer": f"https://{name}.example.org"} for name in part
        }
    if definition == "issuer" and key in KEY_SOURCES:
        del whole["issuers"]["corp"]["secret_env"]
    if definition == "rule" or (definition != "issuer" and key in rule and key not in get_keys(definition)):
        room["join"] = {"claim": "p", **value} if key in TESTS else value
    elif key == "auto_join" and part is True:
        namespace["rooms"]["lobby"] = {**room, **value}
    else:
        {
            "top": whole,
            "included": whole,
            "namespace": namespace,
            "room": room,
            "server": whole.setdefault("server", {}),
            "issuer": whole["issuers"]["ops" if key == "use" else "corp"],
            "limits": whole.setdefault("limits", {}),
            "room_limits": room.setdefault("limits", {}),
            "event": set_default(room, "events", "message"),
            "param": set_default(room, "params", "p"),
        }[definition].update(value)
    return whole


def get_keys(definition: str) -> dict[str, Any]:
    part = schema() if definition == "top" else schema()["$defs"][definition]
    return part["properties"]


def set_default(room: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    """Return the settings of a name, which `events` or `params` of a room has then."""
    if not isinstance(room.get(key), dict):
        room[key] = {name: {}}
    return room[key][name]


KEY_SOURCES = ("ca_file", "jwks_url", "discovery", "secret_file", "secret_env", "public_key_file")


def list_errors(definition: str, help_: str) -> list[str]:
    errors = []
    for value in list_snippets(help_):
        text = json.dumps(put(definition, value))
        files = InMemory(
            {"c.yaml": text.encode(), "file.json": b'{"description": "-----BEGIN CERTIFICATE-----"}'}, SECRET
        )
        errors += [
            f"{value}: {problem}" for problem in load("c.yaml", files).problems if problem.severity == "error"
        ]
    return errors


@pytest.mark.parametrize("definition", sorted(TABLES))
def test_every_suggestion_of_a_key_passes_check(definition):
    words = {word for row in TABLES[definition] for word in row.split()} | {*BY_VALUE.get(definition, ())}
    for word in sorted(words):
        assert_passes(definition, word)


def test_every_suggestion_of_a_key_of_any_place_passes_check():
    for row in ANYWHERE:
        for word in row.split():
            assert_passes("log", word)


def assert_passes(definition: str, word: str) -> None:
    """Check the help for values of each type: one is of the type that the key takes."""
    failed = []
    for value in ("p", 7, ["p", "q"], "HS256", "https://app.example.com", None, {"p": "x"}):
        told = translate_key(definition, word, value)
        assert told is not None, word
        errors = list_errors(definition, told.help)
        if not errors:
            return
        failed += errors
    raise AssertionError((definition, word, failed))


@pytest.mark.parametrize("words", sorted(RULE_WORDS))
def test_every_suggestion_of_a_rule_passes_check(words):
    assert list_errors("rule", RULE_WORDS[words].replace("{word}", "p")) == []


ROOM = """version: 1
issuers: {corp: {issuer: "https://id.example.com", audience: realtime, secret_env: SECRET}}
namespaces:
  /class:
    connect: authenticated
    rooms:
      "lesson:{id}": {join: %s, %s}
"""
OPEN = "authenticated"


@pytest.mark.parametrize(
    ("join", "rest", "help_"),
    [
        ("{role: teacher}", "echo: true", "write `{claim: role, equals: teacher}`; where tokens list roles"),
        ("{any: {claim: role, equals: teacher}}", "echo: true", "`any: [{claim: role, equals: teacher}]`"),
        (
            "{all: {scope: a, claim: b, exists: true}}",
            "echo: true",
            "`all: [{scope: a}, {claim: b, exists: true}]`",
        ),
        ("{all: {param: id, equals: x}}", "echo: true", "`all: [{param: id, equals: x}]`"),
        ("{claims: role, equals: teacher}", "echo: true", "did you mean `claim`?"),
        ("{params: id, equals: x}", "echo: true", "did you mean `param`?"),
        ("{claims: {role: teacher}}", "echo: true", "write `{claim: role, equals: teacher}`"),
        (
            "{claims: {role: t, org: 7}}",
            "echo: true",
            "write `{all: [{claim: role, equals: t}, {claim: org, equals: 7}]}`",
        ),
        (OPEN, "role: teacher", "write `join: {claim: role, equals: teacher}`"),
        (OPEN, "emit: [message]", "write `events: [message]`"),
        (OPEN, "send: [a, b]", "write `events: [a, b]`"),
        (OPEN, "emit: {scope: a}", "write the rule under `publish`"),
        (OPEN, "event: question", "write `events: [question]`"),
        (OPEN, "message: {volatile: true}", "write `events: {message: {volatile: true}}`"),
        (OPEN, "publish: members, events: all", "no word stands for all events"),
        (OPEN, "publish: members, events: 'a, b'", "`events: [a, b]`"),
        (
            OPEN,
            "events: [question, message], publish: {question: members, message: {claim: role, equals: t}}",
            "`events: {question: {publish: members}, message: {publish: {claim: role, equals: t}}}`",
        ),
        (OPEN, "publish: {question: authenticated}", "write `publish: authenticated`, and beside it"),
        (OPEN, "publish: members, events: [{q: {publish: members}}]", "`events: {q: {publish: members}}`"),
        (OPEN, "publish: members, events: [{q: members}]", "`events: {q: {publish: members}}`"),
        (OPEN, "publish: members, events: [{name: q, volatile: true}]", "`events: {q: {volatile: true}}`"),
        (OPEN, "publish: members, events: {q: members}", "`q: {publish: members}`"),
        (
            OPEN,
            "publish: members, events: {q: {claim: role, equals: t}}",
            "write `q: {publish: {claim: role, equals: t}}`",
        ),
        (OPEN, "max: 3", "write `capacity: 3`"),
        (OPEN, "maxClients: 3", "write `capacity: 3`"),
    ],
)
def test_a_mistake_is_led_to_what_was_meant(join, rest, help_):
    text = (ROOM % (join, rest)).encode()
    problems = load("c.yaml", InMemory({"c.yaml": text}, SECRET)).problems
    errors = [problem for problem in problems if problem.severity == "error"]
    assert len(errors) == 1
    assert help_ in errors[0].help


@pytest.mark.parametrize(
    ("section", "help_"),
    [
        ("server: {admin: false}", "leave it out: the admin socket is always there"),
        ("server: {admin: true}", "write a list, as in `admin: "),
        ("server: {origins: false}", "write a list, as in `origins: "),
        ("namespaces: {class: {connect: public}}", "write `/class`"),
        ("namespaces: {/a: {connect: public}, rooms: {l: {join: public}, m: {}}}", "stands under `/a`"),
        ("namespaces: {connect: public, rooms: {l: {join: public}}}", "write the namespace above it"),
        ("namespaces: {/a: {connect: public}, /b: {connect: public}, events: [a]}", "stands under `/b`"),
    ],
)
def test_a_mistake_outside_rooms_is_one_problem(section, help_):
    text = f"version: 1\n{section}\n" + ("" if "namespaces" in section else "namespaces: {}\n")
    problems = load("c.yaml", InMemory({"c.yaml": text.encode()}, SECRET)).problems
    assert len(problems) == 1
    assert help_ in problems[0].help
