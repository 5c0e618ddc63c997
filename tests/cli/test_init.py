"""`init`: what it writes checks clean, and nothing that exists is touched."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from compartmentd.cli.init import PROVIDERS
from compartmentd.cli.main import cli
from compartmentd.cli.starter import guess_claim
from compartmentd.configuration.compiler import load
from compartmentd.storage.files import Disk

ISSUERS = {
    "keycloak": "https://id.example.com/realms/acme",
    "auth0": "https://acme.eu.auth0.com/",
    "okta": "https://acme.okta.com/oauth2/default",
    "entra": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
    "cognito": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI",
    "firebase": "https://securetoken.google.com/acme",
    "authentik": "https://id.example.com/application/o/acme/",
    "zitadel": "https://id.example.com",
    "hydra": "https://id.example.com/",
    "other": "https://id.example.com",
}


def run(directory: Path, *arguments: str, answers: str = "") -> Result:
    return CliRunner().invoke(cli, ["init", str(directory), *arguments], input=answers)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def strict(file: Path) -> Result:
    return CliRunner().invoke(cli, ["check", "--strict", str(file)])


def test_without_a_question_it_writes_a_file_and_a_key(tmp_path: Path) -> None:
    result = run(tmp_path, "--yes")
    assert result.exit_code == 0
    assert names(tmp_path) == ["compartmentd.schema.json", "compartments.dev-key", "compartments.yaml"]
    text = (tmp_path / "compartments.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=compartmentd.schema.json\n")
    assert (tmp_path / "compartments.dev-key").read_bytes().startswith(b"compartmentd-development-")
    assert stat.S_IMODE((tmp_path / "compartments.dev-key").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "compartmentd.schema.json").read_text())["$schema"]
    assert (tmp_path / "compartments.dev-key").read_text().strip() not in result.output
    for said in ("serve --dev", "compartmentd token", "compartmentd check", "socket.io-client", "auth:"):
        assert said in result.stdout


def test_a_fresh_file_has_no_problem(tmp_path: Path) -> None:
    run(tmp_path, "--yes")
    loaded = load(str(tmp_path / "compartments.yaml"), Disk())
    assert loaded.problems == ()


@pytest.mark.parametrize("provider", [each for each in PROVIDERS if each not in {"dev", "secret"}])
@pytest.mark.parametrize("key", ["--key", "--no-key"])
def test_each_providers_file_is_strictly_fine(tmp_path: Path, provider: str, key: str) -> None:
    audience = "acme" if provider == "firebase" else "https://realtime.example.com"
    result = run(
        tmp_path, "--yes", "--provider", provider, "--issuer", ISSUERS[provider], "--audience", audience, key
    )
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    finished = strict(tmp_path / "compartments.yaml")
    assert finished.exit_code == 0, finished.output
    main = (tmp_path / "compartments.yaml").read_text()
    assert "dev-key" not in main, "the file for production knows no development key"
    assert (tmp_path / "compartments.dev.yaml").exists() is (key == "--key")
    if key == "--key":
        loaded = load(str(tmp_path / "compartments.dev.yaml"), Disk())
        assert loaded.configuration is not None
        assert [entry.name for entry in loaded.issuers] == ["dev"]
        assert list(loaded.configuration.policy.namespaces) == ["/chat"]


def test_the_secret_of_ones_own_backend_has_its_place_and_a_file_for_development_beside(
    tmp_path: Path,
) -> None:
    result = run(tmp_path, "--yes", "--provider", "secret")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "backend.key") in result.stdout
    assert "backend.key" not in names(tmp_path), "the secret is the backend's: none is made up"
    main, development = tmp_path / "compartments.yaml", tmp_path / "compartments.dev.yaml"
    (tmp_path / "backend.key").write_bytes(b"s" * 40)
    (tmp_path / "backend.key").chmod(0o600)
    assert strict(main).exit_code == 0, strict(main).output
    entries = [load(str(path), Disk()).issuers for path in (main, development)]
    assert [
        [(entry.name, entry.issuer, entry.audience, Path(entry.sources[0].name).name) for entry in group]
        for group in entries
    ] == [
        [("backend", "https://backend.example.com", ("realtime",), "backend.key")],
        [("backend", "https://backend.example.com", ("realtime",), "compartments.dev-key")],
    ]
    minted = CliRunner().invoke(cli, ["token", "-c", str(development), '{"sub": "ann"}'])
    assert minted.exit_code == 0, minted.output
    refused = CliRunner().invoke(cli, ["token", "-c", str(main), '{"sub": "ann"}'])
    assert refused.exit_code != 0
    assert "is a secret of your own: move it away" in str(refused.exception or refused.output)


@pytest.mark.parametrize(("key", "made"), [("y", True), ("n", False)])
def test_the_backends_names_are_asked_for_with_a_default(tmp_path: Path, key: str, made: bool) -> None:
    result = run(tmp_path, answers=f"secret\n\nschool\n{key}\n\n\n")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "compartments.yaml").read_text()
    assert 'issuer: "https://backend.example.com"' in text
    assert 'audience: "school"' in text
    assert "secret_file: backend.key" in text
    assert (tmp_path / "compartments.dev.yaml").exists() is made
    assert "my own backend signs them" in result.output


def test_the_client_keeps_the_new_token_before_it_refreshes(tmp_path: Path) -> None:
    said = run(tmp_path, "--yes").stdout
    assert said.index("token = await newToken();  ") < said.index('emitWithAck("refresh", token)')
    assert "// Answers {ok: true}" in said


ROOMS: Any = [
    ["lobby"],
    ["user:{user}"],
    ["{sub}"],
    ["team:{teams}", "board:{tenant}:{case}"],
    ["a b", 'quote"d', "ünï:{x}"],
    ["lobby", "user:{user}", "project:{project}"],
]


@pytest.mark.parametrize("rooms", ROOMS, ids=str)
def test_rooms_of_ones_own(tmp_path: Path, rooms: list[str]) -> None:
    flags = [flag for room in rooms for flag in ("--room", room)]
    assert run(tmp_path, "--yes", "--namespace", "/x", *flags).exit_code == 0
    loaded = load(str(tmp_path / "compartments.yaml"), Disk())
    assert loaded.configuration is not None
    (namespace,) = loaded.configuration.policy.namespaces.values()
    assert namespace.name == "/x"
    assert [room.name for room in namespace.rooms] == rooms


def test_it_asks_for_what_is_not_given(tmp_path: Path) -> None:
    answers = "keycloak\nhttps://id.example.com/realms/acme\nrealtime\ny\nhall, team:{team}\nhttps://app.example.com\n"
    result = run(tmp_path, answers=answers)
    assert result.exit_code == 0, result.output
    assert names(tmp_path) == [
        "compartmentd-included.schema.json",
        "compartmentd.schema.json",
        "compartments.dev-key",
        "compartments.dev.yaml",
        "compartments.yaml",
        "namespaces.yaml",
    ]
    assert '"team:{team}"' in (tmp_path / "namespaces.yaml").read_text()
    main = (tmp_path / "compartments.yaml").read_text()
    for said in (
        "preset: keycloak",
        '"https://id.example.com/realms/acme"',
        '"realtime"',
        '"https://app.example.com"',
    ):
        assert said in main


def test_enter_takes_the_defaults(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    assert run(asked, answers="\n\n\n").exit_code == 0
    assert run(tmp_path / "not", "--yes").exit_code == 0
    assert (asked / "compartments.yaml").read_text() == (tmp_path / "not/compartments.yaml").read_text()


@pytest.mark.parametrize("present", ["compartments.yaml", "compartments.dev-key", "compartmentd.schema.json"])
def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, present: str) -> None:
    (tmp_path / present).write_text("mine")
    result = CliRunner().invoke(cli, ["init", str(tmp_path), "--yes"])
    assert result.exit_code != 0
    assert names(tmp_path) == [present]
    assert (tmp_path / present).read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--room", "a:{b"], "{"),
        (["--room", "x:{a}", "--room", "x:{b}"], "x:"),
        (["--namespace", "chat"], "chat"),
        (["--origin", "app.example.com"], "app.example.com"),
        (["--provider", "other", "--issuer", "", "--audience", "a"], "issuer"),
    ],
)
def test_wrong_answers_are_told_as_check_tells_them_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = run(tmp_path, "--yes", *arguments)
    assert result.exit_code == 1, result.output
    assert said in result.output
    assert "nothing was written" in result.stderr
    assert names(tmp_path) == []


def test_what_a_provider_never_has_is_warned_of(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "--yes",
        "--provider",
        "keycloak",
        "--issuer",
        "https://id.example.com/realms/a/",
        "--audience",
        "account",
    )
    assert result.exit_code == 0
    assert "ends with `/`" in result.stderr


def test_a_provider_without_its_issuer_is_wrong_usage(tmp_path: Path) -> None:
    result = run(tmp_path, "--yes", "--provider", "auth0")
    assert result.exit_code != 0
    assert names(tmp_path) == []


def test_json_lists_the_files(tmp_path: Path) -> None:
    result = run(tmp_path / "new", "--yes", "--format", "json")
    assert json.loads(result.stdout)["files"] == [
        str(tmp_path / "new" / name)
        for name in ("compartments.yaml", "compartmentd.schema.json", "compartments.dev-key")
    ]


def test_the_claim_of_a_parameter() -> None:
    assert [guess_claim(name) for name in ("project", "teams")] == ["projects", "teams"]
