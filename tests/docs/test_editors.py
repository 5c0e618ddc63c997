"""The settings on the page of editors start the command that there is."""

from __future__ import annotations

import json
import re
import tomllib
from textwrap import dedent
from typing import Any

import pytest
from click.testing import CliRunner

from compartmentd.cli.main import COMMANDS, cli
from tests.support.markdown import page

PAGE = page("guides/editors.md")


def read_block(language: str) -> str:
    """Return the block in a language that stands, indented, in a tab."""
    [found] = re.findall(rf"^    ```{language}\n(.*?)^    ```$", PAGE, re.MULTILINE | re.DOTALL)
    return dedent(found)


def list_commands() -> list[Any]:
    code, helix = json.loads(read_block("json")), tomllib.loads(read_block("toml"))
    [neovim] = re.findall(r"cmd = \{ (.*) \}", read_block("lua"))
    server = helix["language-server"]["compartmentd"]
    assert helix["language"][0]["language-servers"] == ["compartmentd"]
    assert code["glspc.server.languageId"] == ["yaml"]
    return [
        pytest.param([code["glspc.server.command"], *code["glspc.server.commandArguments"]], id="VS Code"),
        pytest.param(json.loads(f"[{neovim}]"), id="Neovim"),
        pytest.param([server["command"], *server["args"]], id="Helix"),
    ]


@pytest.mark.parametrize("command", list_commands())
def test_a_setting_starts_the_server(command: list[str]) -> None:
    program, *arguments = command
    assert program == "compartmentd"
    assert arguments[0] in COMMANDS
    assert CliRunner().invoke(cli, [*arguments, "--help"]).exit_code == 0


def test_every_command_on_the_page_is_one() -> None:
    written = re.findall(r"^compartmentd ([a-z]+)", PAGE, re.MULTILINE) + re.findall(
        r"`compartmentd ([a-z]+)", PAGE
    )
    assert set(written) == {"lsp", "check", "schema"}
