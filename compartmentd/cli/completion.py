"""`compartmentd completion SHELL`: prints the script for completing commands, options and files in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_COMPARTMENTD_COMPLETE"
"""The variable that the script sets when it asks for completions; click derives it from the program's name."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    In bash: `source <(compartmentd completion bash)`.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError("click supports every shell that the argument allows")
    click.echo(kind(context.find_root().command, {}, "compartmentd", VARIABLE).source())
