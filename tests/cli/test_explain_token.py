"""`explain-token`, as it is called: a token on standard input, never in the arguments, never in the output."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from compartmentd.cli.main import cli
from compartmentd.tokens.diagnosis import PASSED
from tests.keys.provider import answer, keyset, provider
from tests.tokens.forge import SECRET, private_key, sign

CONFIG = """
version: 1
server: {{admin_access: {{scope: admin}}}}
issuers:
  corp: {{issuer: "https://corp.example.com", audience: realtime, use: [connect, admin], secret_file: corp.key}}
  remote: {{issuer: "{issuer}", audience: realtime}}
  unread: {{issuer: "https://unread.example.com", audience: realtime, public_key_file: gone.pem}}
namespaces:
  /: {{connect: authenticated, issuers: [corp, remote]}}
  /chat: {{connect: {{scope: chat}}, issuers: [corp]}}
  /staff: {{connect: {{claim: [realm_access, roles], contains: staff}}, issuers: [corp]}}
"""
HIDDEN = "hidden-from-all"


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": "https://corp.example.com",
        "aud": "realtime",
        "sub": HIDDEN,
        "email": f"{HIDDEN}@example.com",
        "iat": now - 10,
        "exp": now + 36_000,  # some are made when the tests are collected, and used at the end of a long run
        "scope": "chat profile",
    }
    return {name: value for name, value in {**good, **changed}.items() if value is not ...}


def token(**changed: Any) -> str:
    return sign({"alg": "HS256", "typ": "JWT", "kid": "k1"}, claims(**changed))


@pytest.fixture
def explain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run `explain-token` in a directory of its own; `issuer` is that of the entry with remote keys."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corp.key").write_bytes(SECRET)

    def run(text: str | bytes, *arguments: str, issuer: str = "https://remote.example.com") -> Result:
        (tmp_path / "c.yaml").write_text(CONFIG.format(issuer=issuer))
        result = CliRunner().invoke(cli, ["explain-token", "-c", "c.yaml", *arguments], input=text)
        assert HIDDEN not in result.output
        return result

    return run


def document(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_token_that_counts(explain):
    result = explain(token())
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        "token   iss `https://corp.example.com`, alg `HS256`, kid `k1`, typ `JWT`, aud `realtime`",
        "claims  `aud`, `email`, `exp`, `iat`, `iss`, `scope`, `sub`",
    ]
    width = max(map(len, PASSED))
    for check, detail in PASSED.items():
        assert f"✓ {check:<{width}}  {detail}" in result.stdout
    assert "scopes  `chat`, `profile`" in result.stdout
    assert "✓ /chat" in result.stdout


def test_a_claim_that_a_rule_needs_and_no_mapper_adds_is_named(explain):
    result = explain(token())
    assert result.stdout.endswith(
        "✗ /staff  rule_denied\n"
        "    ✗ connect to /staff  (c.yaml:11:3)\n"
        "        ✗ claim [realm_access, roles] contains staff  (c.yaml:11:21)\n"
        "            ✗ the token has no claim `realm_access`\n"
    )
    result = explain(token(realm_access={}))
    assert "✗ the token's claim `realm_access` has no `roles`" in result.stdout


def test_every_mistake_at_once(explain):
    result = explain(token(aud="account", nonce="n", exp=int(time.time()) - 100, scope=5))
    assert result.exit_code == 1
    crossed = [line for line in result.stdout.splitlines() if line.startswith("✗")]
    assert [line.split()[1] for line in crossed] == ["end", "audience"]
    assert "the token's `aud` names `account`; `corp` wants `realtime`" in crossed[1]
    assert crossed[1].endswith("; it looks like an ID token: send the access token")
    assert "scopes" not in result.stdout, "what does not count may do nothing"


def test_scopes_of_the_wrong_type_are_told(explain):
    result = explain(token(scope=5))
    assert "scopes  none: they are read from `scope`, `scp`\n    a claim that lists scopes" in result.stdout
    assert document(explain(token(scope=5), "--format", "json"))["scopes_uncertain"] is True


def test_as_json(explain):
    found = document(explain(token(), "--format", "json"))
    assert found["ok"] is True
    assert found["entry"] == "corp"
    assert found["token"] == {
        "alg": "HS256",
        "kid": "k1",
        "typ": "JWT",
        "iss": "https://corp.example.com",
        "aud": ["realtime"],
        "claims": ["aud", "email", "exp", "iat", "iss", "scope", "sub"],
    }
    assert {check["outcome"] for check in found["checks"]} == {"passed"}
    assert found["scopes"] == ["chat", "profile"]
    places = {place: (one["allowed"], one["code"]) for place, one in found["decisions"].items()}
    assert places == {"/": (True, None), "/chat": (True, None), "/staff": (False, "rule_denied")}
    (line,) = found["decisions"]["/staff"]["lines"]
    assert (line["file"], line["line"]) == ("c.yaml", 11)


def test_a_token_that_counts_and_may_nothing(explain):
    result = explain(token(scope=...), "--use", "admin", "--format", "json")
    assert result.exit_code == 1
    assert document(result)["decisions"]["admin_access"]["code"] == "scope_missing"
    assert explain(token(scope="admin"), "--use", "admin").exit_code == 0


def test_a_use_that_no_entry_lists(explain):
    result = explain(token(), "--use", "api")
    assert result.exit_code == 1
    assert "✗ use           tokens of `corp` are for `connect`, `admin`, not for `api`" in result.stdout


@pytest.mark.parametrize(
    ("text", "check", "words"),
    [
        ("c0ffee-opaque", "form", "the token is opaque (one part)"),
        ("a" * 20_000, "form", "the token is longer than 16384 characters"),
        (b"\xff\xfe.\x00.x", "form", "the token's parts are not base64url"),
        (sign({"alg": "none"}, {}), "issuer", "the token has no `iss`"),
        (token(iss="https://corp.example.org"), "issuer", "the nearest that is configured is `https://corp"),
    ],
    ids=range(5),
)
def test_what_is_no_token_of_ours(explain, text, check, words):
    result = explain(text)
    assert result.exit_code == 1
    (crossed,) = [line for line in result.stdout.splitlines() if line.startswith("✗")]
    assert crossed.split()[1] == check
    assert words in crossed


def test_a_line_break_around_the_token_is_not_part_of_it(explain):
    assert explain(f"\n  {token()}\r\n").exit_code == 0


def test_no_token_is_wrong_usage(explain):
    result = explain("\n")
    assert result.exit_code == 1
    assert "no token on standard input" in str(result.exception)


def test_a_configuration_with_errors_is_told_instead(explain, tmp_path):
    (tmp_path / "bad.yaml").write_text("version: 2\n")
    result = explain(token(), "-c", "bad.yaml")
    assert result.exit_code == 1
    assert "bad.yaml:1:" in result.stdout


def test_keys_that_cannot_be_read(explain):
    result = explain(token(iss="https://unread.example.com"))
    assert result.exit_code == 1
    assert "✗ key           there are no keys for `unread` yet" in result.stdout
    assert "    c.yaml:7:87: error: cannot read `gone.pem`: no such file or directory" in result.stdout


# --- keys that are fetched ------------------------------------------------------------------------------------


def remote(issuer: str, kid: str = "new") -> str:
    return sign({"alg": "ES256", "kid": kid}, claims(iss=issuer), "ES256", private_key("p256", kid))


async def test_keys_are_fetched_once(explain):
    async with provider() as idp:
        idp.publish("new")
        result = await asyncio.to_thread(explain, remote(idp.url), issuer=idp.url)
        assert idp.asked == ["/.well-known/openid-configuration", "/jwks"]
    assert result.exit_code == 0, result.stdout


async def test_nothing_is_fetched_for_a_token_of_another_issuer(explain):
    async with provider() as idp:
        idp.publish("new")
        for text in (token(), "opaque", token(iss="https://evil.example")):
            await asyncio.to_thread(explain, text, issuer=idp.url)
        assert idp.asked == []


async def test_why_keys_could_not_be_fetched(explain):
    async with provider() as idp:
        idp.publish("new", issuer="https://other.example")
        wrong = await asyncio.to_thread(explain, remote(idp.url), issuer=idp.url)
        idp.publish("new")
        idp.answers["/jwks"] = answer(b'{"keys": []}')
        empty = await asyncio.to_thread(explain, remote(idp.url), "--format", "json", issuer=idp.url)
    assert "    the keys of `remote`: the discovery document at `" in wrong.stdout
    assert wrong.exit_code == 1
    (note,) = document(empty)["notes"]
    assert note.startswith(f"the keys of `remote`: the key set at `{idp.url}/jwks`: it has no keys")


def test_keys_may_be_given_as_a_file_instead(explain, tmp_path):
    (tmp_path / "set.json").write_bytes(keyset("new"))
    issuer = "https://remote.example.com"
    assert explain(remote(issuer), "--jwks", "set.json").exit_code == 0
    (tmp_path / "set.json").write_bytes(keyset("old"))
    result = explain(remote(issuer), "--jwks", "set.json")
    assert result.exit_code == 1
    assert "no key of `remote` has the token's `kid`" in result.stdout
    (tmp_path / "set.json").write_bytes(b"<html>")
    assert "    `set.json`: " in explain(remote(issuer), "--jwks", "set.json").stdout


@pytest.mark.parametrize(
    ("text", "file", "words"),
    [
        (token(), "c.yaml", "`corp` has no JSON Web Key Set but `secret_file`"),
        (remote("https://remote.example.com"), "none.json", "cannot read `none.json`: no such file"),
    ],
)
def test_a_key_set_that_cannot_be_used_is_wrong_usage(explain, text, file, words):
    result = explain(text, "--jwks", file)
    assert words in str(result.exception)


def test_what_a_stranger_wrote_into_a_token_breaks_no_line(explain):
    evil = "\x1b[31m\n✓ signature"
    result = explain(sign({"alg": "HS256", "kid": evil, "typ": evil}, claims(iss=evil, **{evil: 1})))
    assert "\x1b" not in result.stdout
    assert "\n✓ signature" not in result.stdout


# --- what was given ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "remark"),
    [
        ("Bearer {}", "`bearer` is left out here: clients send the token alone"),
        ("Authorization: Bearer {}", "`authorization:` is left out here"),
        ('"{}"', "the quotes around the token are left out here"),
        ('{{"token_type": "Bearer", "access_token": "{}"}}', "its `access_token` is checked"),
    ],
)
def test_what_stands_around_a_token_is_told_and_the_token_is_checked(explain, form, remark):
    text = form.format(token())
    result = explain(text)
    assert result.exit_code == 0
    assert remark.lower() in result.stdout.lower()
    [first, *_] = document(explain(text, "--format", "json"))["remarks"]
    assert remark.lower() in first.lower()


def test_a_failed_check_names_what_helps(explain):
    result = explain(token(aud="account"))
    assert "    → `audience: account` of `corp` would take it" in result.stdout
    checks = document(explain(token(aud="account"), "--format", "json"))["checks"]
    told = {check["check"]: check["remedies"] for check in checks if check["remedies"]}
    assert list(told) == ["audience"]


def test_scopes_under_another_name_are_found(explain):
    result = explain(token(scope=..., permissions=["chat"]))
    assert "→ `scopes: [permissions]` of `corp` would take them from its claim `permissions`" in result.stdout


def test_a_condition_shows_what_it_saw_and_what_is_unknown_is_told_apart(explain):
    wrong = explain(token(realm_access={"roles": ["user"]}))
    assert '            `[realm_access, roles]` is `["user"]`\n' in wrong.stdout
    assert "✗ claim [realm_access, roles] contains staff" in wrong.stdout
    unknown = explain(token(realm_access={"roles": "staff"}))
    assert "? claim [realm_access, roles] contains staff" in unknown.stdout
    assert '`[realm_access, roles]` is `"staff"`, text: use `equals`' in unknown.stdout


# --- rooms ------------------------------------------------------------------------------------------------------

ROOMS = """
version: 1
issuers:
  corp: {issuer: "https://corp.example.com", audience: realtime, secret_file: corp.key}
namespaces:
  /team:
    connect: authenticated
    rooms:
      lobby: {join: public}
      "project:{project}": {join: {claim: projects, contains: "{project}"}}
      "own:{owner}":
        params: {owner: {pattern: "[a-z0-9-]{1,20}"}}
        join: authenticated
        auto_join: {owner: handle}
      "staff:{team}": {join: {claim: role, contains: staff}, auto_join: {team: teams}}
"""


@pytest.fixture
def reach(explain, tmp_path):
    (tmp_path / "rooms.yaml").write_text(ROOMS)

    def run(*arguments, **changed):
        return explain(token(**changed), "-c", "rooms.yaml", *arguments)

    return run


def test_the_rooms_that_a_token_names_are_tried(reach):
    lines = reach(
        projects=["apollo", "zeus"], handle="ann", role=["staff"], teams=["red"]
    ).stdout.splitlines()
    for line in (
        "    ✓ auto-join of own:{owner}: `own:ann`",
        "    ✓ auto-join of staff:{team}: `staff:red`",
        "    ✓ join `lobby`",
        "    ✓ join `project:apollo`  (of project:{project})",
        "    ✓ join `project:zeus`  (of project:{project})",
    ):
        assert line in lines


def test_a_room_that_is_asked_for_is_refused_with_the_value_that_the_condition_saw(reach):
    result = reach("--room", "project:zeus", projects=["apollo"])
    assert "    ✗ join `project:zeus`  (of project:{project})  rule_denied" in result.stdout
    assert '`projects` is `["apollo"]`' in result.stdout
    found = document(reach("--room", "project:zeus", "--format", "json", projects=["apollo"]))
    rooms = {row["room"]: row["allowed"] for row in found["decisions"]["/team"]["rooms"]}
    assert rooms["project:apollo"] is True
    assert rooms["project:zeus"] is False


@pytest.mark.parametrize("handle", ["f:550e8400:ann", "ann+x@example.com"])
def test_an_auto_join_that_gives_no_room_says_why(reach, handle):
    result = reach(handle=handle)
    assert "    · auto-join of own:{owner}: no room" in result.stdout
    assert (
        f"        skipped `own:{handle}`: the value does not fit the parameter: "
        "`owner` is of the pattern `[0-9a-z-]{1,20}`"
    ) in result.stdout
    [own, _] = document(reach("--format", "json", handle=handle))["decisions"]["/team"]["auto_join"]
    assert own["joined"] == []
    assert own["skipped"][0].startswith(f"`own:{handle}`: the value does not fit")


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "the token names no value for it"),
        ({"handle": 7}, "skipped a value is of a type that no parameter takes: `owner` is of the pattern"),
        ({"teams": ["red"], "role": "x"}, "skipped `staff:red`: rule_denied"),
        (
            {"teams": [f"t{n}" for n in range(105)], "role": ["staff"]},
            "skipped 5 more values: the session is in as many rooms as `rooms_per_session` allows",
        ),
        ({"teams": [f"t{n}" for n in range(9)], "role": "x"}, "        and 4 more"),
    ],
)
def test_every_skipped_auto_join_is_told(reach, changed, line):
    assert line in reach(**changed).stdout
