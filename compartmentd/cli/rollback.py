"""`compartmentd rollback`: lists the configurations that were in force, or restores one of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import unified_diff
from typing import Any, NamedTuple

import click

from compartmentd.cli.exits import Exit
from compartmentd.cli.find_config import config_option
from compartmentd.cli.render import Format, format_option, print_json, print_problems
from compartmentd.configuration.compiler import Contents, load
from compartmentd.errors import UsageError
from compartmentd.storage.files import Disk
from compartmentd.storage.generations import (
    DamagedGeneration,
    GenerationStore,
    StoredGeneration,
    find_state_directory,
)
from compartmentd.storage.generations.restore import Restoration, carry_out, plan_restoration

SHORT = 12
"""Hex digits of a digest that are shown."""

LEAST = 4
"""Hex digits of a digest that are enough to name it, if it is the only one that begins with them."""


@click.command()
@config_option("path")
@click.argument("version", metavar="[NUMBER|DIGEST]", required=False)
@click.option(
    "--state", type=click.Path(), metavar="DIR", help="The state directory, if FILE does not name it."
)
@click.option("--diff", is_flag=True, help="Show what restoring would change, without changing it.")
@click.option("--yes", is_flag=True, help="Restore even if that deletes or overwrites other files.")
@format_option
@click.pass_context
def rollback(
    context: click.Context,
    path: str,
    version: str | None,
    state: str | None,
    format_: Format,
    *,
    diff: bool,
    yes: bool,
) -> None:
    """List the configurations that were in force, or restore the files of one of them.

    The present configuration is stored before it is replaced, so a rollback can be undone by another.
    """
    history = GenerationStore(_find_state(path, state))
    try:
        entries = history.list_entries()
        if version is None:
            _print_list(path, history, entries, format_)
            return
        restoration = plan_restoration(
            path, _read_generation(history, _choose_generation(version, entries)), Disk()
        )
        if diff:
            _print_diff(restoration)
            return
        context.exit(_restore(restoration, history, format_, yes=yes))
    except OSError as error:
        raise UsageError(f"nothing was changed: {error.filename or path}: {error.strerror}") from None


def _find_state(path: str, named: str | None) -> str:
    state = named or find_state_directory(path, Disk(), os.environ)
    if state is None:
        raise UsageError(f"`{path}` does not name its `server.state`: use `--state`")
    return state


def _choose_generation(version: str, entries: tuple[StoredGeneration, ...]) -> StoredGeneration:
    if version.isdecimal() and 1 <= int(version) <= len(entries):
        return entries[int(version) - 1]
    found = [entry for entry in entries if entry.digest.startswith(version.lower())]
    if len(version) < LEAST or not found:
        raise UsageError(
            f"no stored configuration is `{version}`: run the command without it to list them all"
        )
    if len({entry.digest for entry in found}) > 1:
        raise UsageError(f"more than one digest begins with `{version}`: give more digits")
    return found[0]


def _read_generation(history: GenerationStore, entry: StoredGeneration) -> Contents:
    try:
        return history.read(entry)
    except DamagedGeneration as damage:
        raise UsageError(f"`{history.directory / entry.file}` cannot be restored: {damage}") from None


# --- listing ------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    entry: StoredGeneration
    files: list[str]
    damage: str


def _read_rows(history: GenerationStore, entries: tuple[StoredGeneration, ...]) -> Iterator[_Row]:
    for entry in entries:
        try:
            yield _Row(entry, [name for name, _ in history.read(entry)], "")
        except DamagedGeneration as damage:
            yield _Row(entry, [], str(damage))


def _print_list(
    path: str, history: GenerationStore, entries: tuple[StoredGeneration, ...], format_: Format
) -> None:
    on_disk = load(path, Disk()).digest
    rows = list(_read_rows(history, entries))
    if format_ == "json":
        print_json([_build_record(number, row, on_disk) for number, row in enumerate(rows, 1)])
        return
    for number, row in enumerate(rows, 1):
        click.echo(
            f"{number:3}  {_format_time(row.entry)}  {row.entry.digest[:SHORT]}  {_describe_row(row, on_disk)}"
        )
    if not rows:
        click.echo(f"`{history.directory}` contains no configuration yet", err=True)


def _describe_row(row: _Row, on_disk: str) -> str:
    kind = "was in force" if row.entry.accepted else "was replaced"
    if row.damage:
        return f"{kind}, damaged: {row.damage}"
    count = f"{len(row.files)} file{'' if len(row.files) == 1 else 's'}"
    return f"{kind}, {count}" + (", the same as on the disk" if row.entry.digest == on_disk else "")


def _build_record(number: int, row: _Row, on_disk: str) -> dict[str, Any]:
    return {
        "number": number,
        "at": row.entry.at,
        "digest": row.entry.digest,
        "accepted": row.entry.accepted,
        "on_disk": row.entry.digest == on_disk,
        "files": row.files,
        "damage": row.damage or None,
    }


def _format_time(entry: StoredGeneration) -> str:
    moment = datetime.fromtimestamp(entry.at / 1000, UTC).astimezone()
    return moment.isoformat(sep=" ", timespec="seconds")


# --- restoring ----------------------------------------------------------------------------------------------------


def _restore(restoration: Restoration, history: GenerationStore, format_: Format, *, yes: bool) -> Exit:
    refused = bool(restoration.doubts) and not yes
    if restoration.changes and not refused:
        carry_out(restoration, history, time.time())
    if format_ == "json":
        print_json(
            {
                "ok": not refused,
                "written": sorted(restoration.writes),
                "deleted": restoration.deletes,
                "doubts": restoration.doubts,
                "problems": [problem.as_json() for problem in restoration.problems],
            }
        )
    else:
        _print_outcome(restoration, refused=refused)
    return Exit.ERRORS if refused else Exit.FINE


def _print_outcome(restoration: Restoration, *, refused: bool) -> None:
    if restoration.problems:
        print_problems(restoration.problems, "text")
    if refused:
        for doubt in restoration.doubts:
            click.echo(f"error: {doubt}", err=True)
        click.echo("nothing was changed; use `--yes` to restore anyway", err=True)
        return
    for file in sorted(restoration.writes):
        click.echo(f"restored {file}")
    for file in restoration.deletes:
        click.echo(f"deleted {file}")
    if not restoration.changes:
        click.echo("nothing to do: the files are already the same")
    else:
        click.echo("a daemon with `server.watch` reloads by itself; otherwise run `compartmentd reload`")


def _print_diff(restoration: Restoration) -> None:
    before = dict(restoration.before)
    main = restoration.path
    for file in (*restoration.writes, *restoration.deletes):
        name = file.removeprefix(os.path.join(os.path.dirname(main), ""))  # noqa: PTH118, PTH120 - as in names
        old = before.get(name, b"").decode("utf-8", "replace").splitlines(keepends=True)
        new = restoration.writes.get(file, b"").decode("utf-8", "replace").splitlines(keepends=True)
        for line in unified_diff(old, new, f"{file} (on the disk)", f"{file} (restored)"):
            click.echo(line if line.endswith("\n") else f"{line}\n", nl=False)
