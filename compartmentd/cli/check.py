"""`compartmentd check FILE…`: prints every problem of configurations, without serving them."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple, TypeAlias

import click
import msgspec

from compartmentd.cli.annotations import build_sarif, format_github
from compartmentd.cli.exits import Exit
from compartmentd.cli.find_config import require_configuration
from compartmentd.cli.render import print_json, print_problems
from compartmentd.cli.serving_problems import (
    find_carriage_return,
    find_development_key,
    find_state_problem,
    find_taken_addresses,
)
from compartmentd.configuration.compiler import FileAccess, Loaded, load
from compartmentd.problems import Problem, has_errors, sort_problems
from compartmentd.storage.files import Disk
from compartmentd.tokens.entry import REMOTE, IssuerEntry, KeySource

CheckFormat: TypeAlias = Literal["text", "json", "github", "sarif"]


@click.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path())
@click.option("--strict", is_flag=True, help="Treat warnings and notes as errors.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="The form of the output: `github` is for workflows, `sarif` for code scanning (SARIF 2.1.0).",
)
@click.pass_context
def check(context: click.Context, files: tuple[str, ...], format_: CheckFormat, *, strict: bool) -> None:
    """Check configurations, and show every problem with its place.

    Without FILE it checks `compartments.yaml` of the working directory, else that of the system.
    """
    checked = [check_file(file) for file in files or (require_configuration(None),)]
    problems = [problem for each in checked for problem in each.problems]
    if strict:
        problems = [msgspec.structs.replace(problem, severity="error") for problem in problems]
    if format_ == "github":
        for line in format_github(problems):
            click.echo(line)
    elif format_ == "sarif":
        print_json(build_sarif(problems))
    else:
        print_problems(problems, format_, read="; ".join(each.read for each in checked if each.read))
    context.exit(Exit.ERRORS if has_errors(problems) else Exit.FINE)


class Checked(NamedTuple):
    """The problems of a configuration, and in words what was read: empty if it could not be read."""

    problems: Sequence[Problem]
    read: str


def find_problems(file: str, disk: FileAccess | None = None) -> Sequence[Problem]:
    """Return every problem of a configuration, and of the keys and certificate that it names.

    Args:
        file: The main file.
        disk: Where files are read; by default from the disk.
    """
    return _find_problems(_load(file, disk or Disk()), disk or Disk())


def check_file(file: str) -> Checked:
    """Return every problem of a configuration, with those that only `serve` would meet on this machine."""
    disk = Disk()
    loaded = _load(file, disk)
    problems = [*_find_problems(loaded, disk)]
    server = None if loaded.configuration is None else loaded.configuration.server
    if server is not None and loaded.configuration is not None:
        spans = loaded.configuration.server_spans
        problems += find_state_problem(server, spans.get("state"))
        problems += find_taken_addresses(server, spans)
    return Checked(sort_problems(problems, loaded.files), _describe_read(loaded))


def _load(file: str, disk: FileAccess) -> Loaded:
    with _pause_collecting():
        return load(file, disk)


def _find_problems(loaded: Loaded, disk: FileAccess) -> Sequence[Problem]:
    keys = _find_key_problems(loaded.issuers, disk)
    return sort_problems((*loaded.problems, *keys, *_find_certificate_problems(loaded)), loaded.files)


def _describe_read(loaded: Loaded) -> str:
    """Return what a configuration consists of, as in `1 file, 2 issuers, 1 namespace, 5 room templates`."""
    if loaded.configuration is None:
        return ""
    namespaces = loaded.configuration.policy.namespaces.values()
    counts = {
        "file": len(loaded.contents),
        "issuer": len(loaded.issuers),
        "namespace": len(namespaces),
        "room template": sum(len(namespace.rooms) for namespace in namespaces),
    }
    return ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items())


@contextmanager
def _pause_collecting() -> Iterator[None]:
    # A large file makes a million values and no garbage: the collector would scan them again and again.
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _find_key_problems(issuers: tuple[IssuerEntry, ...], disk: FileAccess) -> Iterator[Problem]:
    read = [
        (entry, source, content)
        for entry in issuers
        if entry.algorithms  # without an algorithm no key would fit; the cause is reported already
        for source in entry.sources
        if (content := _read_source(source, disk)) is not None
    ]
    if not read:
        return
    # Imported only if there is a key to read: importing the cryptography takes longer than a check.
    from compartmentd.tokens.local_keys import KeyMaterial, read_all_keys  # noqa: PLC0415

    material = [
        KeyMaterial(entry=entry.name, source=source, content=content) for entry, source, content in read
    ]
    yield from read_all_keys(issuers, material)[1]
    for _, source, content in read:
        yield from find_development_key(source, content)
        yield from find_carriage_return(source, content)


def _find_certificate_problems(loaded: Loaded) -> Iterator[Problem]:
    tls = None if loaded.configuration is None else loaded.configuration.server.tls
    if tls is not None:
        from compartmentd.storage.certificates import check_validity, read_certificate  # noqa: PLC0415 - for its time, as above

        found = read_certificate(tls)
        if not isinstance(found, Problem):
            yield from check_validity(tls, found, time.time())
        elif found.code != "file.unreadable":  # the compiler reports it, as a note
            yield found


def _read_source(source: KeySource, disk: FileAccess) -> bytes | None:
    if source.kind in REMOTE:
        return None  # a check uses no network, so its result is the same everywhere
    if source.kind == "secret_env":
        return disk.getenv(source.name)
    try:
        return disk.read(source.name)
    except OSError:
        return None  # the compiler reports it, as a note
