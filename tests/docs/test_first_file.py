"""The commands of "Your first file" print what the page says that they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from compartmentd.cli.main import cli
from compartmentd.tokens.key import DEVELOPMENT_PREFIX
from tests.support.markdown import block, blocks, page

TEXT = page("start/first-file.md")
CONFIGURATION = block(TEXT, "yaml")
FIRST_CHECK, SECOND_CHECK, EXPLAINED = blocks(TEXT, "text")
CLAIMS = {"sub": "ann", "scope": "chat", "projects": ["apollo"]}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's directory, with the page's configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compartments.yaml").write_text(CONFIGURATION)
    return tmp_path


def run(*arguments: str, given: str | None = None) -> tuple[int, str]:
    """Run a command, and return its exit code and all that it prints."""
    result = CliRunner().invoke(cli, arguments, input=given)
    return result.exit_code, result.output


def test_check_finds_a_note(directory: Path) -> None:
    assert directory.is_dir()
    assert run("check", "compartments.yaml") == (0, FIRST_CHECK)


def test_check_finds_the_two_mistakes(directory: Path) -> None:
    mistaken = CONFIGURATION.replace("members", "member").replace(
        'contains: "{project}"', 'contains: "{projekt}"'
    )
    (directory / "compartments.yaml").write_text(mistaken)
    assert run("check", "compartments.yaml") == (1, SECOND_CHECK)


def test_a_token_is_explained(directory: Path) -> None:
    # What `serve --dev` makes where it is missing.
    (directory / "first.dev-key").write_bytes(DEVELOPMENT_PREFIX + b"-" * 43)
    code, token = run("token", "-c", "compartments.yaml", json.dumps(CLAIMS))
    assert code == 0
    assert f"token -c compartments.yaml '{json.dumps(CLAIMS)}'" in TEXT
    assert run("explain-token", "-c", "compartments.yaml", given=token) == (0, EXPLAINED)
