"""`compartmentd check FILE…`: prints every problem of configurations, without serving them."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
import msgspec

from compartmentd.cli.exits import Exit
from compartmentd.cli.render import Format, format_option, print_problems
from compartmentd.configuration.compiler import FileAccess, Loaded, load
from compartmentd.problems import Problem, has_errors, sort_problems
from compartmentd.storage.files import Disk
from compartmentd.tokens.entry import REMOTE, IssuerEntry


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--strict", is_flag=True, help="Treat warnings and notes as errors.")
@format_option
@click.pass_context
def check(context: click.Context, files: tuple[str, ...], format_: Format, *, strict: bool) -> None:
    """Check configurations, and show every problem with its place."""
    problems = [problem for file in files for problem in find_problems(file)]
    if strict:
        problems = [msgspec.structs.replace(problem, severity="error") for problem in problems]
    print_problems(problems, format_)
    context.exit(Exit.ERRORS if has_errors(problems) else Exit.FINE)


def find_problems(file: str, disk: FileAccess | None = None) -> Sequence[Problem]:
    """Return every problem of a configuration, and of the keys and certificate that it names.

    Args:
        file: The main file.
        disk: Where files are read; by default from the disk.
    """
    disk = disk or Disk()
    with _pause_collecting():
        loaded: Loaded = load(file, disk)
    keys = (problem for entry in loaded.issuers for problem in _find_key_problems(entry, disk))
    return sort_problems((*loaded.problems, *keys, *_find_certificate_problems(loaded)), loaded.files)


@contextmanager
def _pause_collecting() -> Iterator[None]:
    # A large file makes a million values and no garbage: the collector would scan them again and again.
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _find_key_problems(entry: IssuerEntry, disk: FileAccess) -> Iterator[Problem]:
    # Without an algorithm no key would fit; the cause is reported already.
    material = _read_material(entry, disk) if entry.algorithms else None
    if material is not None:
        # Imported only if there is a key to read: importing the cryptography takes longer than a check.
        from compartmentd.tokens.keyfile import read_keys  # noqa: PLC0415

        yield from (item for item in read_keys(entry, material) if isinstance(item, Problem))


def _find_certificate_problems(loaded: Loaded) -> Iterator[Problem]:
    tls = None if loaded.configuration is None else loaded.configuration.server.tls
    if tls is not None:
        from compartmentd.storage.certificates import check_validity, read_certificate  # noqa: PLC0415 - for its time, as above

        found = read_certificate(tls)
        if not isinstance(found, Problem):
            yield from check_validity(tls, found, time.time())
        elif found.code != "file.unreadable":  # the compiler reports it, as a note
            yield found


def _read_material(entry: IssuerEntry, disk: FileAccess) -> bytes | None:
    if entry.keys.kind in REMOTE:
        return None  # a check uses no network, so its result is the same everywhere
    if entry.keys.kind == "secret_env":
        return disk.getenv(entry.keys.name)
    try:
        return disk.read(entry.keys.name)
    except OSError:
        return None  # the compiler reports it, as a note
