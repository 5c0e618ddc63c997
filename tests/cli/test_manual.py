"""The man page is that of the command line, and says all of it."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from compartmentd.cli import manual
from compartmentd.cli.exits import Exit
from compartmentd.cli.main import COMMANDS, cli

PAGE = Path(__file__).parents[2] / "config/man/compartmentd.1"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == "\n".join(manual.format_page()) + "\n", "run: make man"


def test_it_says_every_command_and_option() -> None:
    page = PAGE.read_text().replace("\\-", "-")
    context = click.Context(cli, info_name="compartmentd")
    for name in COMMANDS:
        assert re.search(rf"^\.SS compartmentd {name} ", page, re.MULTILINE), name
        command = cli.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else []:
                assert option in page, (name, option)


def test_every_exit_code_is_explained() -> None:
    assert set(manual.EXITS) == set(Exit)


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        ("plain  words\nhere", "plain words here"),
        ("--yes", "\\-\\-yes"),
        (".sh at the start", "\\&.sh at the start"),
        ("'quoted'", "\\&'quoted'"),
        ("a `word`", "a \\fBword\\fR"),
        ("back\\slash", "back\\eslash"),
    ],
)
def test_text_is_never_a_request(text: str, roff: str) -> None:
    assert manual._escape(text) == roff
