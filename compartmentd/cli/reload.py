"""`compartmentd reload`: reload the running daemon, and say what came of it once it is in force."""

from __future__ import annotations

from typing import Any

import click

from compartmentd.cli.admin_socket import ask, daemon_options
from compartmentd.cli.exits import Exit
from compartmentd.cli.render import Format, format_option, print_json, print_problems
from compartmentd.problems import Problem, Span


@click.command()
@daemon_options
@format_option
@click.pass_context
def reload(context: click.Context, socket_path: str | None, config: str | None, format_: Format) -> None:
    """Reload configuration and keys; returns once every live session has been judged."""
    _, answer = ask("POST", "/admin/reload", socket_path=socket_path, config=config)
    if format_ == "json":
        print_json(answer)
    elif "problems" not in answer:
        click.echo(f"error: {answer['error']['message']}", err=True)
    else:
        _tell(answer)
    context.exit(Exit.FINE if answer.get("ok") else Exit.ERRORS)


def _tell(answer: dict[str, Any]) -> None:
    problems = [_problem(problem) for problem in answer["problems"]]
    if problems:
        print_problems(problems, "text")
    digest = answer["digest"][:12]
    if not answer["ok"]:
        click.echo(f"refused: generation {answer['generation']} ({digest}) stays in force", err=True)
    elif not answer["changed"]:
        click.echo(f"already in force: generation {answer['generation']} ({digest})")
    else:
        evicted = answer["evicted"]
        click.echo(
            f"generation {answer['generation']} ({digest}) is in force: {answer['judged']} sessions judged, "
            f"{evicted['sessions']} sessions and {evicted['memberships']} memberships ended",
        )


def _problem(record: dict[str, Any]) -> Problem:
    span = Span(record["file"], record["line"], record["column"], record["line"], record["column"])
    return Problem(record["severity"], record["code"], record["message"], span, record["help"])
