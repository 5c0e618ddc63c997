"""`compartmentd init`: writes a first configuration, and says what to do next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from compartmentd.cli import starter
from compartmentd.cli.exits import Exit
from compartmentd.cli.render import Format, format_option, print_json, print_problems
from compartmentd.cli.starter import Choices, write_files
from compartmentd.configuration.compiler import load
from compartmentd.document.bundled import EDITOR, EDITOR_INCLUDED, load_schema_text
from compartmentd.errors import UsageError
from compartmentd.problems import Problem, has_errors
from compartmentd.storage.files import Disk
from compartmentd.tokens.presets import PRESETS

PROVIDERS = (starter.DEVELOPMENT, starter.BACKEND, *PRESETS, starter.OTHER)

_ROOMS = ("lobby", "project:{project}")
_ORIGINS = ("http://localhost:3000",)
_BACKEND_ISSUER, _BACKEND_AUDIENCE = "https://backend.example.com", "realtime"
"""What a backend of one's own may call itself and this server; it is told both."""


@click.command()
@click.argument("directory", default=".", type=click.Path(path_type=Path))
@click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    help="Where tokens come from; `dev` needs no provider, with `secret` your own backend signs them.",
)
@click.option("--issuer", metavar="URL", help="The `iss` of the provider's tokens.")
@click.option("--audience", metavar="AUD", help="The `aud` of tokens for this server.")
@click.option(
    "--key/--no-key", default=None, help="A development key beside the provider's, in a file of its own."
)
@click.option("--namespace", default="/chat", show_default=True, metavar="NAME", help="The namespace.")
@click.option(
    "--room",
    "rooms",
    multiple=True,
    metavar="TEMPLATE",
    help="A room, such as project:{project}; may be repeated.",
)
@click.option(
    "--origin", "origins", multiple=True, metavar="ORIGIN", help="The origin of your page; may be repeated."
)
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults for what is not given.")
@format_option
@click.pass_context
def init(
    context: click.Context,
    directory: Path,
    format_: Format,
    *,
    provider: str | None,
    issuer: str | None,
    audience: str | None,
    key: bool | None,
    namespace: str,
    rooms: tuple[str, ...],
    origins: tuple[str, ...],
    yes: bool,
) -> None:
    """Write a first configuration into DIRECTORY, with comments, and say what to do next.

    It asks for what is not given. Files that exist are never overwritten.
    """
    if provider is None:
        provider = starter.DEVELOPMENT if yes else _ask_provider()
    with_provider = provider != starter.DEVELOPMENT
    own_backend = provider == starter.BACKEND
    if own_backend and yes:
        issuer = _BACKEND_ISSUER if issuer is None else issuer
        audience = _BACKEND_AUDIENCE if audience is None else audience
        key = True if key is None else key
    if with_provider and issuer is None:
        form = PRESETS[provider].form if provider in PRESETS else "https://id.example.com"
        default = _BACKEND_ISSUER if own_backend else None
        question = "The issuer, as in the tokens' `iss`" + ("" if own_backend else f" ({form})")
        issuer = _require(yes, "--issuer", question, default)
    if with_provider and audience is None:
        default = _BACKEND_AUDIENCE if own_backend else None
        audience = _require(yes, "--audience", "The audience, as in the tokens' `aud`", default)
    if with_provider and key is None:
        without = "your backend" if own_backend else "the provider"
        key = not yes and click.confirm(f"A development key, too, to try it without {without}?", default=True)
    if not rooms:
        rooms = _ROOMS if yes else _ask_list("Rooms", _ROOMS)
    if not origins:
        origins = _ORIGINS if yes else _ask_list("The origin of your page", _ORIGINS)
    choices = Choices(
        provider=provider,
        issuer=issuer or "",
        audience=audience or "",
        key=bool(key) or not with_provider,
        namespace=namespace,
        rooms=rooms,
        origins=origins,
    )
    texts = write_files(choices)
    problems = find_problems(texts)
    if has_errors(problems):
        print_problems(problems, format_)
        click.echo("nothing was written: call it again with other answers", err=True)
        context.exit(Exit.ERRORS)
    written = write(directory, choices, texts)
    if format_ == "json":
        print_json({"ok": True, "files": [str(path) for path in written]})
    else:
        for problem in problems:
            click.echo(problem.as_text(), err=True)
        _say_what_is_next(directory, choices, written)


def _ask_provider() -> str:
    click.echo("`dev`: nowhere yet. `secret`: my own backend signs them with a shared secret. Or a provider:")
    question = "Where do tokens come from?"
    return str(click.prompt(question, default=starter.DEVELOPMENT, type=click.Choice(PROVIDERS)))


def _ask_list(question: str, default: Sequence[str]) -> tuple[str, ...]:
    answer = str(click.prompt(f"{question}, with commas between several", default=", ".join(default)))
    return tuple(part.strip() for part in answer.split(",") if part.strip())


def _require(yes: bool, option: str, question: str, default: str | None) -> str:
    if yes:
        raise UsageError(f"with a provider `{option}` is needed")
    return str(click.prompt(question, default=default))


class _Overlay(Disk):
    """The disk with files that are not written yet."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def read(self, path: str) -> bytes:
        if path in self._texts:
            return self._texts[path].encode()
        raise FileNotFoundError(2, os.strerror(2), path)

    def glob(self, pattern: str) -> Sequence[str]:
        return [path for path in self._texts if path == pattern]


def find_problems(texts: Mapping[str, str]) -> list[Problem]:
    """Return what `check` would say of the files, without the notes on keys that are not made yet."""
    disk = _Overlay(texts)
    served = [name for name in texts if name != starter.NAMESPACES]
    found = {problem: None for name in served for problem in load(name, disk).problems}
    return [problem for problem in found if problem.severity != "note"]


def write(directory: Path, choices: Choices, texts: Mapping[str, str]) -> list[Path]:
    """Write the files, their schemas and the key; return their paths.

    Raises:
        UsageError: one of them exists, or cannot be written.
    """
    contents: dict[str, bytes] = {name: text.encode() for name, text in texts.items()}
    contents[starter.SCHEMA] = load_schema_text(EDITOR).encode()
    if starter.NAMESPACES in texts:
        contents[starter.INCLUDED_SCHEMA] = load_schema_text(EDITOR_INCLUDED).encode()
    if choices.key:
        # Imported here, since the cryptography takes long to import.
        from compartmentd.tokens.mint import make_development_secret  # noqa: PLC0415

        contents[starter.KEY] = make_development_secret()
    paths = {directory / name: content for name, content in contents.items()}
    present = [path for path in paths if path.exists() or path.is_symlink()]
    if present:
        names = ", ".join(f"`{path}`" for path in present)
        raise UsageError(f"nothing was written, since this would overwrite {names}: name another directory")
    try:
        directory.mkdir(exist_ok=True)
        for path, content in paths.items():
            mode = 0o600 if path.name == starter.KEY else 0o666
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
    except OSError as error:
        raise UsageError(f"cannot write `{error.filename}`: {error.strerror}") from None
    return list(paths)


def _say_what_is_next(directory: Path, choices: Choices, written: Sequence[Path]) -> None:
    names = {path.name for path in written}
    for path in written:
        click.echo(f"wrote {path}")
    if starter.KEY in names:
        click.echo(f"Keep {starter.KEY} out of version control; `serve` without --dev refuses it.")
    if choices.provider == starter.BACKEND:
        place = directory / starter.BACKEND_KEY
        click.echo(f"Put the secret that your backend signs with into {place}: 32 bytes or more, chmod 600.")
    served = directory / (starter.FOR_DEVELOPMENT if starter.FOR_DEVELOPMENT in names else starter.MAIN)
    file = shlex.quote(str(served))
    click.echo("\nNext:")
    click.echo(f"  compartmentd check {file}")
    if starter.KEY in names:
        claims = '{"sub": "ann", "projects": ["apollo"]}'
        click.echo(f"  compartmentd serve --dev -c {file}      # prints the address of the playground")
        click.echo(f"  compartmentd token -c {file} '{claims}'")
    if choices.with_provider:
        main = shlex.quote(str(directory / starter.MAIN))
        whose = "backend" if choices.provider == starter.BACKEND else "provider"
        click.echo(
            f"  compartmentd explain-token -c {main} < a.token      # does it take your {whose}'s tokens?"
        )
        click.echo(f"  compartmentd serve -c {main}")
    click.echo(
        "\nA client (npm install socket.io-client), for a page of " + ", ".join(choices.origins) + ":\n"
    )
    for line in starter.write_snippet(choices).splitlines():
        click.echo(f"  {line}".rstrip())
