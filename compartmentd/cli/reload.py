"""`compartmentd reload`: reloads the running daemon, and reports the result once it is in force."""

from __future__ import annotations

import time
from typing import Any

import click

from compartmentd.cli.admin_socket import ask_daemon, daemon_options
from compartmentd.cli.exits import Exit
from compartmentd.cli.render import Format, format_option, print_json, print_problems
from compartmentd.problems import PROBLEM_CODES, Problem, Span
from compartmentd.util.humanize import format_count, format_duration


@click.command()
@daemon_options
@format_option
@click.pass_context
def reload(context: click.Context, socket_path: str | None, config: str | None, format_: Format) -> None:
    """Reload configuration and keys; returns once every live session has been re-evaluated."""
    _, answer = ask_daemon("POST", "/admin/reload", socket_path=socket_path, config=config)
    if format_ == "json":
        print_json(answer)
    elif "problems" not in answer:
        click.echo(f"error: {answer['error']['message']}", err=True)
    else:
        _print_answer(answer)
    context.exit(Exit.FINE if answer.get("ok") else Exit.ERRORS)


def _print_answer(answer: dict[str, Any]) -> None:
    problems = [_read_problem(problem) for problem in answer["problems"]]
    if problems:
        print_problems(problems, "text")
    digest = answer["digest"][:12]
    if not answer["ok"]:
        click.echo(f"refused: generation {answer['generation']} ({digest}) stays in force", err=True)
    elif not answer["changed"]:
        click.echo(f"already in force: generation {answer['generation']} ({digest})")
        if answer["taken_in"] is not None:
            click.echo(_describe_earlier(answer["taken_in"], time.time()))
    else:
        click.echo(f"generation {answer['generation']} ({digest}) is in force: {_describe_effect(answer)}")


_CAUSES = {"watch": "the watch on the files", "request": "an earlier `reload`"}


def _describe_earlier(earlier: dict[str, Any], now: float) -> str:
    """Describe the earlier reload that took the files in, so that the user knows that a change is in force."""
    ago = format_duration(max(0.0, now - earlier["at"] / 1000))
    cause = _CAUSES.get(earlier["cause"], earlier["cause"])
    return (
        f"taken in {ago} ago by {cause}, as generation {earlier['generation']}: {_describe_effect(earlier)}"
    )


def _describe_effect(reload: dict[str, Any]) -> str:
    evicted = reload["evicted"]
    sessions = format_count(evicted["sessions"], "session")
    memberships = format_count(evicted["memberships"], "membership")
    return f"{format_count(reload['judged'], 'session')} re-evaluated, {sessions} and {memberships} ended"


def _read_problem(record: dict[str, Any]) -> Problem:
    place = Span(record["file"], record["line"], record["column"], record["line"], record["column"])
    # The daemon may be of a newer version than this command.
    code = record["code"] if record["code"] in PROBLEM_CODES else "problem.other"
    return Problem(record["severity"], code, record["message"], place, record["help"])
