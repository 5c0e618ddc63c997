"""`compartmentd status`: shows the generation in force of the running daemon, and its load."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from compartmentd.cli.admin_socket import ask_daemon, daemon_options
from compartmentd.cli.exits import Exit
from compartmentd.cli.render import Format, format_option, print_json
from compartmentd.util.humanize import format_count, format_duration


@click.command()
@daemon_options
@format_option
@click.pass_context
def status(context: click.Context, socket_path: str | None, config: str | None, format_: Format) -> None:
    """Show generation, connections, sessions, rooms and fetched keys of the running daemon."""
    code, answer = ask_daemon("GET", "/admin/status", socket_path=socket_path, config=config)
    if format_ == "json":
        print_json(answer)
    elif code != OK:
        click.echo(f"error: {answer['error']['message']}", err=True)
    else:
        _print_status(answer)
    context.exit(Exit.FINE if code == OK else Exit.ERRORS)


OK = 200


def _print_status(answer: dict[str, Any]) -> None:
    click.echo(f"compartmentd {answer['version']}, started {_format_time(answer['started'])}")
    click.echo(f"generation {answer['generation']} ({answer['digest'][:12]})")
    if answer["last_good"] is not None:
        click.echo("on the last good configuration: the files on disk have errors")
        _print_problems(answer["last_good"])
    last = answer["last_reload"]
    if last is not None:
        outcome = "ok" if last["ok"] else "refused"
        click.echo(f"last reload {_format_time(last['at'])}: {outcome}")
        _print_problems(last["problems"])
    if answer["draining"] is not None:
        click.echo(f"draining until {_format_time(answer['draining']['until'])}")
    click.echo(f"{format_count(answer['connections'], 'connection')}, {_format_counts(answer)}")
    for name, counts in answer["namespaces"].items():
        click.echo(f"  {name}: {_format_counts(counts)}")
    if answer["keys"]:
        click.echo("keys")
    for name, keys in answer["keys"].items():
        click.echo(f"  {name}: {', '.join(_format_keys(keys))}")
        if keys["error"] is not None:
            click.echo(f"    {keys['error']}")
        for request in keys["requests"]:
            click.echo(f"    {request['url']}: {request['answer']}")


def _format_keys(keys: dict[str, Any]) -> Iterator[str]:
    none = "no keys, its tokens are refused as keys_unavailable"
    yield format_count(keys["keys"], "key") if keys["keys"] else none
    if keys["age"] is not None:
        yield f"fetched {format_duration(keys['age'])} ago"
    yield "being fetched" if keys["next"] is None else f"asked again in {format_duration(keys['next'])}"


def _format_counts(counts: dict[str, Any]) -> str:
    return f"{format_count(counts['sessions'], 'session')}, {format_count(counts['rooms'], 'room')}"


def _print_problems(problems: list[dict[str, Any]]) -> None:
    for problem in problems:
        place = f"{problem['file']}:{problem['line']}:{problem['column']}"
        click.echo(f"  {place}: {problem['severity']}: {problem['message']}")


def _format_time(milliseconds: int) -> str:
    return (
        datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
    )
