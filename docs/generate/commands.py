"""The page of the commands, from the command line's own help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

import click

from compartmentd.cli.examples import EXAMPLES
from compartmentd.cli.exits import Exit
from compartmentd.cli.main import cli
from compartmentd.cli.manual import ENVIRONMENT, EXITS
from docs.generate.markdown import code, heading, join_page, table

ENDS: Mapping[str, tuple[Exit, ...]] = {
    "init": (Exit.FINE, Exit.ERRORS),
    "check": (Exit.FINE, Exit.ERRORS),
    "serve": (Exit.FINE, Exit.ERRORS, Exit.USAGE),
    "reload": (Exit.FINE, Exit.ERRORS, Exit.UNREACHABLE),
    "status": (Exit.FINE, Exit.UNREACHABLE),
    "sessions": (Exit.FINE, Exit.ERRORS, Exit.UNREACHABLE),
    "tail": (Exit.FINE, Exit.UNREACHABLE),
    "rollback": (Exit.FINE, Exit.ERRORS),
    "revoke": (Exit.FINE, Exit.ERRORS, Exit.UNREACHABLE),
    "admin-token": (Exit.FINE, Exit.UNREACHABLE),
    "explain-token": (Exit.FINE, Exit.ERRORS),
    "token": (Exit.FINE, Exit.ERRORS),
    "schema": (Exit.FINE,),
    "lsp": (Exit.FINE,),
    "completion": (Exit.FINE,),
}
"""How each command ends. Every one ends with 2, too, where it was called in a wrong way; `serve` names it, since it
also ends so where an address is taken."""


def page() -> str:
    """Return the page of the commands."""
    return join_page(_lines())


def _lines() -> Iterator[str]:
    context = click.Context(cli, info_name="compartmentd", **cli.context_settings)
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    yield "# Commands"
    yield ""
    yield f"{cli.help} The man page, `compartmentd(1)`, says the same as this page."
    yield ""
    yield from table(
        ["command", "does", "exit codes"],
        [
            [f"[`{name}`](#{name})", _summary(command), ", ".join(str(int(end)) for end in ENDS[name])]
            for name, command in commands.items()
            if command is not None
        ],
    )
    yield ""
    yield "Commands that talk to the running daemon find it by its file (`-c FILE`) or by its admin socket"
    yield "(`--socket PATH`)."
    for name, command in commands.items():
        if command is not None:
            yield from ("", *_command(name, command, context))
    yield from ("", heading(2, "Exit codes", "exit-codes"), "")
    yield from table(["code", "means"], [[str(int(end)), meaning] for end, meaning in EXITS.items()])
    yield from ("", heading(2, "Environment", "environment"), "")
    yield from table(["variable", "means"], [[code(name), text] for name, text in ENVIRONMENT.items()])


def _summary(command: click.Command) -> str:
    return (command.help or "").split("\n\n")[0].replace("\n", " ")


def _command(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    yield heading(2, code(name), name)
    yield ""
    yield "```"
    yield f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    yield "```"
    yield ""
    yield inspect.cleandoc(command.help or "")
    options = [
        record
        for parameter in command.params
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context))
    ]
    if options:
        yield ""
        yield from table(["option", ""], [[code(tag), text] for tag, text in options])
    examples = EXAMPLES.get(name, ())
    if examples:
        yield ""
        yield from table(["example", ""], [[code(line), purpose] for line, purpose in examples])
