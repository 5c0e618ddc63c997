"""What the guides and concepts claim is what the server decides."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from compartmentd.policy.codes import MEANINGS, Code
from compartmentd.protocol.origins import OriginPolicy, PageHeaders
from compartmentd.telemetry.metric_table import METRICS, PREFIX
from tests.docs.guide import NOBODY, Guide, Part, parts, requests
from tests.support.markdown import DOCS, block, blocks, code, page, tables
from tests.support.world import Client

CONFIG = Path(__file__).parents[2] / "config"


class Case(NamedTuple):
    """A part of a page, with its name."""

    name: str
    part: Part


PARTS = [
    Case(f"{path.relative_to(DOCS).as_posix()}-{number}", part)
    for path in sorted(DOCS.rglob("*.md"))
    for number, part in enumerate(parts(path.read_text()))
]
REQUESTS = [
    pytest.param(case.part, *request, id=f"{case.name}: {request[0]} {request[1]}")
    for case in PARTS
    for request in case.part.requests
]
ROOMS = [
    pytest.param(case.part, *line, id=f"{case.name}: {line[0]}") for case in PARTS for line in case.part.rooms
]


def guide(directory: Path, part: Part) -> Guide:
    """Return the hub of a part of a page."""
    return Guide(directory, part.configuration, part.people)


def only(name: str) -> Part:
    """Return the first part of a page."""
    return parts(page(name))[0]


def entered(world: Guide, person: str) -> Client:
    """Connect a person, who must get in."""
    client = world.enter(person, world.namespace)
    assert isinstance(client, Client), client
    return client


# --- tables of people ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "who", "does", "answer"), REQUESTS)
def test_who_may_do_what(tmp_path: Path, part: Part, who: str, does: str, answer: str) -> None:
    assert guide(tmp_path, part).answer(who, does) == answer


@pytest.mark.parametrize(("part", "who", "rooms"), ROOMS)
def test_who_is_where_after_the_connect(tmp_path: Path, part: Part, who: str, rooms: list[str]) -> None:
    assert entered(guide(tmp_path, part), who).rooms == rooms


def test_every_guide_about_people_has_people() -> None:
    pages = {case.name.rsplit("-", 1)[0] for case in PARTS}
    names = ("tenants", "private-chats", "moderation", "from-middleware")
    assert pages >= {f"guides/{name}.md" for name in names}
    assert len(REQUESTS) > 30
    assert len(ROOMS) > 6


DEMO = Part(
    (CONFIG / "demo.yaml").read_text(),
    yaml.safe_load((CONFIG / "demo.test.yaml").read_text())["tokens"],
    requests(page("start/demo.md")),
    [],
)


@pytest.mark.parametrize(("who", "does", "answer"), DEMO.requests)
def test_the_refusals_of_the_demo(tmp_path: Path, who: str, does: str, answer: str) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/message.schema.json").write_text((CONFIG / "demo/message.schema.json").read_text())
    assert guide(tmp_path, DEMO).answer(who, does) == answer


# --- what happens over time ---------------------------------------------------------------------------------------


def change(world: Guide, part: Part, old: str, new: str) -> None:
    """Save a change of the page's configuration, and judge every session."""
    assert part.configuration.count(old) == 1
    world.reload(world.with_secrets(world.directory, part.configuration.replace(old, new)))


def test_muting_by_the_file_takes_effect_on_the_next_message(tmp_path: Path) -> None:
    part = only("guides/moderation.md")
    world = guide(tmp_path, part)
    ann = entered(world, "ann")
    assert ann.code("join", "lobby") is None
    assert ann.code("publish", "lobby", "message", {"text": "one"}) is None
    change(world, part, "one_of: [u-1042]", "one_of: [u-1042, ann]")
    world.tick(1.0)
    assert ann.code("publish", "lobby", "message", {"text": "two"}) == "rule_denied"
    assert ann.rooms == ["lobby"]


def test_a_ban_by_the_join_rule_puts_out_at_the_save(tmp_path: Path) -> None:
    part = only("guides/moderation.md")
    world = guide(tmp_path, part)
    eve = entered(world, "eve")
    assert eve.code("join", "lobby") is None
    eve.take()
    change(world, part, "        join: public", "        join: {not: {rule: muted}}")
    assert eve.take() == [["left", {"room": "lobby", "code": "policy_changed"}]]


def test_slow_mode_is_a_rate_of_the_room(tmp_path: Path) -> None:
    world = guide(tmp_path, only("guides/moderation.md"))
    ann = entered(world, "ann")
    assert ann.code("join", "lobby") is None
    assert ann.code("publish", "lobby", "message", {"text": "one"}) is None
    error = ann.ask("publish", "lobby", "message", {"text": "two"})["error"]
    assert error["code"] == "rate_limited"
    assert 0 < error["after"] <= 1000


def test_an_invitation_takes_effect_with_the_next_token(tmp_path: Path) -> None:
    part = parts(page("guides/private-chats.md"))[1]
    world = guide(tmp_path, part)
    bob = entered(world, "bob")
    bob.take()
    invited = {**part.people["bob"], "conversations": ["4e5f6a7b"]}
    assert bob.ask("refresh", world.token(**invited))["ok"]
    assert bob.rooms == ["conversation:4e5f6a7b"]
    assert sorted(event for event, _ in bob.take()) == ["joined", "left"]


def test_a_room_lost_by_a_reload_is_given_back_by_the_next(tmp_path: Path) -> None:
    """As the demo tells the reader to try."""
    part = only("guides/from-middleware.md")
    world = guide(tmp_path, part)
    ann = entered(world, "ann")
    change(world, part, 'contains: "{project}"', 'contains: "{project}-x"')
    assert ann.rooms == ["user:ann"]
    change(world, part, 'contains: "{project}"', 'contains: "{project}"')
    assert ann.rooms == ["project:apollo", "user:ann"]


def test_a_room_that_a_session_left_is_not_joined_again(tmp_path: Path) -> None:
    part = only("guides/from-middleware.md")
    world = guide(tmp_path, part)
    ann = entered(world, "ann")
    assert ann.code("leave", "project:apollo") is None
    change(world, part, "message_size: 16KiB", "message_size: 8KiB")
    assert ann.rooms == ["user:ann"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("connect: {scope: chat:connect}", "connect: nobody", "policy_changed"),
        ("  /chat:\n", "  /other:\n", "policy_changed"),
        ("  corp:\n", "  another:\n", "revoked"),
    ],
    ids=["the connect rule", "the namespace", "the issuer"],
)
def test_what_a_reload_ends(tmp_path: Path, old: str, new: str, code: str) -> None:
    part = only("guides/from-middleware.md")
    world = guide(tmp_path, part)
    ann = entered(world, "ann")
    ann.take()
    change(world, part, old, new)
    closing, disconnected = ann.take()
    assert closing == ["closing", {"code": code, "retry": False}]
    assert disconnected == ("disconnected", "/chat")


def test_a_refused_connect_carries_a_code_and_whether_to_retry_and_no_more(tmp_path: Path) -> None:
    world = guide(tmp_path, only("guides/moderation.md"))
    change(world, only("guides/moderation.md"), "connect: public", "connect: {scope: chat}")
    peer = world.try_connect("/chat", "ann").peer
    [(_, _, message, data)] = peer.sent
    assert message == "the token lacks a scope"
    assert data == {"code": "scope_missing", "retry": False}
    assert f'// "{message}"' in page("clients/javascript.md")


def test_members_get_the_messages_of_all_senders_in_one_order(tmp_path: Path) -> None:
    world = guide(tmp_path, parts(page("guides/private-chats.md"))[1])
    senders = [entered(world, name) for name in ("ann", "bob")]
    readers = [entered(world, name) for name in ("ann", "bob", "ann")]
    for client in (*senders, *readers):
        client.take()
    for number in range(12):
        senders[number // 2 % 2].emit("publish", "conversation:0a1b2c3d", "message", {"text": str(number)})
    got = [[data["text"] for _, data, _ in reader.take()] for reader in readers]
    assert got == [[str(number) for number in range(12)]] * len(readers)


# --- tables of the concepts ---------------------------------------------------------------------------------------


def test_how_the_name_of_a_room_is_read(tmp_path: Path) -> None:
    text = page("concepts/rooms.md")
    world = Guide(
        tmp_path,
        blocks(text, "yaml")[1],
        {"ann": {"sub": "ann", "scope": "chat:connect", "clearance": 3, "projects": ["apollo"]}},
    )
    [table] = tables(text, "room", "is")
    for room, answer in table:
        name = room.strip("`")
        assert world.answer("ann", f"joins `{name}`") == answer.strip("`"), name


RULES = """
version: 1
issuers:
  corp: {{issuer: "https://id.example.com", audience: realtime}}
namespaces:
  /: {{connect: {rule}}}
"""
TRUTHS = {"true": True, "false": False, "unknown": "a string, which is no boolean"}


def holds(directory: Path, rule: str, **claims: object) -> bool:
    """Return whether a rule lets somebody with these claims connect."""
    world = Guide(directory, RULES.format(rule=rule), {"ann": {"sub": "ann", **claims}})
    return world.answer("ann", "connects to `/`") == "allowed"


class Truth:
    """The value of a rule, found by asking whether it holds and whether its negation does."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.numbers = itertools.count()

    def of(self, rule: str, **claims: object) -> str:
        """Return `true`, `false` or `unknown`."""
        if self._holds(rule, claims):
            return "true"
        return "false" if self._holds(f"{{not: {rule}}}", claims) else "unknown"

    def _holds(self, rule: str, claims: dict[str, object]) -> bool:
        directory = self.tmp_path / str(next(self.numbers))
        directory.mkdir()
        return holds(directory, rule, **claims)


@pytest.mark.parametrize("combinator", ["all", "any"])
def test_the_truth_tables(tmp_path: Path, combinator: str) -> None:
    truth = Truth(tmp_path)
    [table] = tables(page("concepts/rules.md"), f"`{combinator}`", "true", "unknown", "false")
    rule = f"{{{combinator}: [{{claim: a, equals: true}}, {{claim: b, equals: true}}]}}"
    for first, *values in table:
        for second, value in zip(("true", "unknown", "false"), values, strict=True):
            assert truth.of(rule, a=TRUTHS[first.strip("*")], b=TRUTHS[second]) == value, (first, second)


def test_the_truth_table_of_not(tmp_path: Path) -> None:
    truth = Truth(tmp_path)
    [[[_, *values]]] = tables(page("concepts/rules.md"), "rule", "true", "unknown", "false")
    for part, value in zip(("true", "unknown", "false"), values, strict=True):
        assert truth.of("{not: {claim: a, equals: true}}", a=TRUTHS[part]) == value


def test_why_there_are_three_values(tmp_path: Path) -> None:
    truth = Truth(tmp_path)
    [table] = tables(
        page("concepts/rules.md"), "the token's `suspended`", "`equals: true`", "the rule", "may publish"
    )
    for written, part, rule, allowed in table:
        claims = {"suspended": yaml.safe_load(written.strip("`"))} if "`" in written else {}
        assert truth.of("{claim: suspended, equals: true}", **claims) == part, written
        assert truth.of("{not: {claim: suspended, equals: true}}", **claims) == rule, written
        assert (rule == "true") is (allowed == "yes")


def test_which_origins_are_allowed() -> None:
    text = page("guides/origins.md")
    policy = OriginPolicy(yaml.safe_load(block(text, "yaml"))["server"]["origins"])
    [table] = tables(text, "origin", "is")
    assert {policy.allows(PageHeaders(code(origin)[0], "rt.example.com")) for origin, _ in table} == {
        True,
        False,
    }
    for origin, answer in table:
        allowed = policy.allows(PageHeaders(code(origin)[0], "rt.example.com"))
        assert allowed is (answer.split(":")[0] == "allowed"), origin


def test_without_origins_a_page_may_connect_to_the_host_that_it_came_from() -> None:
    policy = OriginPolicy()
    assert policy.allows(PageHeaders("https://example.com", "example.com"))
    assert not policy.allows(PageHeaders("https://other.example.com", "example.com"))


def test_nobody_is_a_person_without_a_token(tmp_path: Path) -> None:
    world = Guide(tmp_path, RULES.format(rule="public"), {})
    client = world.enter(NOBODY, "/")
    assert isinstance(client, Client)
    assert client.session.user is None


# --- names --------------------------------------------------------------------------------------------------------


CODE_TABLES = (
    ("code", "common causes"),
    ("code", "what to look at"),
    ("`code`", "`retry`", "`reason` of `disconnect`", "what to do"),
)


def test_the_codes_that_help_and_clients_explain_are_codes() -> None:
    named = {
        name
        for path in sorted([*DOCS.glob("help/*.md"), *DOCS.glob("clients/*.md")])
        for header in CODE_TABLES
        for table in tables(path.read_text(), *header)
        for row in table
        for name in re.findall(r"`([a-z_]+)`", row[0])
    }
    assert len(named) > 10
    assert named <= {str(code) for code in Code}


def test_what_a_client_does_at_an_ending_is_what_the_code_says() -> None:
    [table] = tables(page("clients/javascript.md"), *CODE_TABLES[2])
    for names, retry, *_ in table:
        for name in re.findall(r"`([a-z_]+)`", names):
            meaning = MEANINGS[Code(name)]
            assert retry == str(meaning.retry or meaning.retry_closing).lower(), name


def test_the_metrics_that_a_page_names_exist() -> None:
    named = {
        name for path in DOCS.rglob("*.md") for name in re.findall(rf"`{PREFIX}([a-z_]+)`", path.read_text())
    }
    assert named
    assert {name.removesuffix("_total") for name in named} <= set(METRICS)
