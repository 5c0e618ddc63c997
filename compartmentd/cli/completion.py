"""`compartmentd completion SHELL`: the script that lets a shell complete commands, options and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_COMPARTMENTD_COMPLETE"
"""Set by the script when it asks the command line what could come next; click derives it from the name."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    In bash: `source <(compartmentd completion bash)`.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError("click knows the shells that the argument allows")
    click.echo(kind(context.find_root().command, {}, "compartmentd", VARIABLE).source())
