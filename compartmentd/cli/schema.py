"""`compartmentd schema`: prints the JSON Schema of the configuration, for editors and other tools."""

from __future__ import annotations

import click

from compartmentd.cli.render import Format, format_option
from compartmentd.document.bundled import load_schema_text


@click.command()
@format_option
def schema(format_: Format) -> None:  # noqa: ARG001 - a schema is JSON in any case; every command has the option
    """Print the JSON Schema of the configuration."""
    click.echo(load_schema_text(), nl=False)
