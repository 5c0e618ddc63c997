"""`compartmentd schema`: prints the JSON Schema of a configuration, for editors and other tools."""

from __future__ import annotations

import click

from compartmentd.cli.render import Format, format_option
from compartmentd.document.bundled import EDITOR, EDITOR_INCLUDED, load_schema_text


@click.command()
@click.option("--included", is_flag=True, help="The schema of a file that `include` names.")
@format_option
def schema(format_: Format, *, included: bool) -> None:  # noqa: ARG001 - a schema is JSON in any case; every command has the option
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(load_schema_text(EDITOR_INCLUDED if included else EDITOR), nl=False)
