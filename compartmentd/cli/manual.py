"""The man page, generated from the command line's help, so that each option is described in one place.

`python -m compartmentd.cli.manual` prints it, for man(7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

from compartmentd.cli.examples import EXAMPLES
from compartmentd.cli.exits import Exit
from compartmentd.cli.main import cli

EXITS = {
    Exit.FINE: "Success, or allowed; there may be warnings.",
    Exit.ERRORS: "Errors were found, or the answer is no.",
    Exit.USAGE: "The command cannot be executed as given; of `serve` also: an address or a socket cannot be had.",
    Exit.UNREACHABLE: "The daemon could not be reached.",
}

ENVIRONMENT = {
    "RUNTIME_DIRECTORY": (
        "The directory of the admin socket, unless `server.admin` names one; systemd sets it for a service."
    ),
    "STATE_DIRECTORY": "Where `rollback` and `serve --last-good` look if FILE is too broken to name it; likewise.",
    "XDG_RUNTIME_DIR": "Contains the directory of the admin socket, without a `RUNTIME_DIRECTORY`.",
}


def format_page() -> Iterator[str]:
    """Yield the lines of the page."""
    context = click.Context(cli, info_name="compartmentd", **cli.context_settings)
    yield ".\\\" Made from the command line's own help by `make man`."
    yield '.TH COMPARTMENTD 1 "" "" "compartmentd"'
    yield ".SH NAME"
    yield "compartmentd \\- declarative compartments for Socket.IO"
    yield ".SH SYNOPSIS"
    yield f"\\fBcompartmentd\\fR {_escape(' '.join(cli.collect_usage_pieces(context)))}"
    yield ".SH DESCRIPTION"
    yield _escape(cli.help or "")
    yield ".SH OPTIONS"
    yield from _format_options(cli.get_params(context), context)
    yield ".SH COMMANDS"
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is not None:
            yield from _format_command(command, click.Context(command, info_name=name, parent=context))
    yield ".SH EXIT STATUS"
    for code, meaning in EXITS.items():
        yield from _format_tagged(str(int(code)), meaning)
    yield ".SH ENVIRONMENT"
    for variable, meaning in ENVIRONMENT.items():
        yield from _format_tagged(variable, meaning)


def _format_command(command: click.Command, context: click.Context) -> Iterator[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f".SS {_escape(context.command_path)} {_escape(pieces)}"
    paragraphs = (command.help or "").split("\n\n")
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        yield _escape(paragraph)
    yield from _format_options(command.params, context)
    for line, purpose in EXAMPLES.get(context.info_name or "", ()):
        yield ".PP"
        yield f"Example, {_escape(purpose)}:"
        yield ".PP"
        yield f"\\fB{_escape(line)}\\fR"


def _format_options(parameters: Sequence[click.Parameter], context: click.Context) -> Iterator[str]:
    for parameter in parameters:
        record = parameter.get_help_record(context)
        # Arguments are described in the text of the command.
        if record is not None and isinstance(parameter, click.Option):
            yield from _format_tagged(*record)


def _format_tagged(tag: str, meaning: str) -> Iterator[str]:
    yield ".TP"
    yield f"\\fB{_escape(tag)}\\fR"
    yield _escape(meaning)


def _escape(text: str) -> str:
    """Return the text as one line of roff: without requests, and with hyphens that can be copied as such."""
    line = re.sub(r"\s+", " ", text).strip().replace("\\", "\\e").replace("-", "\\-")
    line = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", line)
    return f"\\&{line}" if line.startswith((".", "'")) else line


if __name__ == "__main__":
    click.echo("\n".join(format_page()))
