"""Compiling beside the loop: in a child process, whose result comes over piece by piece.

A thread would not do: parsing and checking hold the interpreter lock, and were seen to stop the loop for most of
a second. The child does all the work and writes the finished configuration to its standard output; the daemon
takes it in room template by room template and lets others run in between.

The stream is a sequence of pieces, each four bytes of length (big endian) and MessagePack: a `_Head`, then the
room templates of all namespaces in order, then the bytes of the files. Nothing else may write to that stream.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO

import msgspec

from compartmentd.configuration.compiler import Contents, Loaded, load
from compartmentd.configuration.settings import Configuration, FileUse, ServerSettings
from compartmentd.names import Digest, NamespaceName
from compartmentd.policy.model import Namespace, Policy, RoomTemplate, Rule
from compartmentd.policy.templates.interning import Sharing
from compartmentd.problems import Problem, Span, start_of
from compartmentd.storage.files import Disk
from compartmentd.telemetry.logs import log
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.util.cooperative import others_first

LONGEST = 120.0
"""Seconds after which a compilation is given up; the largest accepted files take about a tenth of it."""

PIECE = 1 << 20
"""Bytes of a file that come over at a time."""

SLICE = 0.002
"""Seconds for which the loop may be held while pieces are taken in."""

_LENGTH = struct.Struct(">I")


class _Skeleton(msgspec.Struct, frozen=True):
    """A configuration without its room templates; `rooms` counts them by namespace, in order."""

    server: ServerSettings
    server_spans: dict[str, Span]
    issuers: tuple[IssuerEntry, ...]
    files: tuple[FileUse, ...]
    rules: dict[str, Rule]
    schemas: dict[str, object]
    admin_access: Rule
    namespaces: tuple[Namespace, ...]
    rooms: tuple[int, ...]


class _FileHead(msgspec.Struct, frozen=True):
    """A file that follows, in pieces of at most `PIECE` bytes; its name is bytes, as the file system has it."""

    name: bytes
    size: int


class _Head(msgspec.Struct, frozen=True):
    problems: tuple[Problem, ...]
    digest: Digest
    files: tuple[str, ...]
    globs: tuple[str, ...]
    skeleton: _Skeleton | None
    contents: tuple[_FileHead, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_Head).decode
_decode_room = msgspec.msgpack.Decoder(RoomTemplate).decode


def pieces(loaded: Loaded) -> Iterator[bytes]:
    """Yield what was loaded as the pieces of the stream."""
    configuration = loaded.configuration
    skeleton = None if configuration is None else _skeleton(configuration)
    contents = () if configuration is None else loaded.contents
    heads = tuple(_FileHead(os.fsencode(name), len(raw)) for name, raw in contents)
    yield _encode(_Head(loaded.problems, loaded.digest, loaded.files, loaded.globs, skeleton, heads))
    if configuration is not None:
        for namespace in configuration.policy.namespaces.values():
            yield from map(_encode, namespace.rooms)
    for _, raw in contents:
        yield from (raw[start : start + PIECE] for start in range(0, len(raw), PIECE))


def _skeleton(configuration: Configuration) -> _Skeleton:
    namespaces = tuple(configuration.policy.namespaces.values())
    return _Skeleton(
        server=configuration.server,
        server_spans=configuration.server_spans,
        issuers=configuration.issuers,
        files=configuration.files,
        rules=configuration.policy.rules,
        schemas=configuration.policy.schemas,
        admin_access=configuration.policy.admin_access,
        namespaces=tuple(msgspec.structs.replace(namespace, rooms=()) for namespace in namespaces),
        rooms=tuple(len(namespace.rooms) for namespace in namespaces),
    )


async def assemble(stream: AsyncIterator[bytes], known: Digest) -> Loaded:
    """Build what was loaded from the pieces, letting others run every `SLICE` seconds.

    Of files whose digest is `known` the configuration and the bytes are left out: the caller has them already,
    and building and freeing them again would cost the loop for nothing.
    """
    head = _decode_head(await anext(stream))
    skeleton = head.skeleton
    configuration = None
    contents: Contents = ()
    if skeleton is not None and head.digest != known:
        namespaces: dict[NamespaceName, Namespace] = {}
        shared = Sharing().of
        started = time.monotonic()
        for namespace, count in zip(skeleton.namespaces, skeleton.rooms, strict=True):
            rooms: list[RoomTemplate] = []
            for _ in range(count):
                rooms.append(shared(_decode_room(await anext(stream))))
                if time.monotonic() - started > SLICE:
                    await others_first()
                    started = time.monotonic()
            namespaces[namespace.name] = msgspec.structs.replace(namespace, rooms=tuple(rooms))
        configuration = Configuration(
            server=skeleton.server,
            server_spans=skeleton.server_spans,
            issuers=skeleton.issuers,
            files=skeleton.files,
            policy=Policy(
                rules=skeleton.rules,
                namespaces=namespaces,
                schemas=skeleton.schemas,
                admin_access=skeleton.admin_access,
            ),
        )
        contents = tuple([(os.fsdecode(file.name), await _file(stream, file.size)) for file in head.contents])
    return Loaded(
        configuration=configuration,
        problems=head.problems,
        digest=head.digest,
        files=head.files,
        globs=head.globs,
        contents=contents,
    )


async def _file(stream: AsyncIterator[bytes], size: int) -> bytes:
    parts = [await anext(stream) for _ in range(0, size, PIECE)]
    return b"".join(parts)


async def compile_beside(path: str, known: Digest, *, serving: bool) -> Loaded:
    """Load the configuration at `path` in a child process; a child that fails is a problem of its own.

    Where nothing is wrong and the digest is `known`, there is no configuration in the result.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # or `-m` would import from the working directory, whatever lies there by a module's name
            "-m",
            "compartmentd.control.compile_worker",
            "--serving" if serving else "--checking",
            path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        # No process or descriptor is left: the old generation stays, and clients with it.
        log(logging.ERROR, "compiler_failed", "the compiling process did not start", words=[error.strerror])
        return _failed(path, error)
    if child.stdout is None or child.stderr is None:
        raise AssertionError("a child that was given pipes has them")
    words = asyncio.ensure_future(child.stderr.read())
    try:
        async with asyncio.timeout(LONGEST):
            loaded = await assemble(_read(child.stdout), known)
            await _drained(child.stdout)
            await child.wait()
            return loaded
    except (TimeoutError, asyncio.IncompleteReadError, msgspec.DecodeError) as error:
        if child.returncode is None:
            child.kill()
        status = await child.wait()
        last = (await words).decode(errors="replace").strip().splitlines()[-1:]
        log(logging.ERROR, "compiler_failed", "the compiling process failed", status=status, words=last)
        return _failed(path, error)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        await words


def _failed(path: str, error: Exception) -> Loaded:
    too_long = isinstance(error, TimeoutError)
    problem = Problem(
        "error",
        "compiler_failed",
        f"compiling took longer than {LONGEST:g} s" if too_long else "the compiling process ended early",
        start_of(path),
        "nothing was changed; the log has the process's last words",
    )
    return Loaded(configuration=None, problems=(problem,), digest=Digest(""), files=(), globs=())


async def _read(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        yield await stream.readexactly(length)


async def _drained(stream: asyncio.StreamReader) -> None:
    # A child whose pieces were not wanted ends only when somebody takes them.
    while await stream.read(1 << 16):
        pass


def write_pieces(loaded: Loaded, out: BinaryIO) -> None:
    """Write the stream; the child's whole output."""
    for piece in pieces(loaded):
        out.write(_LENGTH.pack(len(piece)))
        out.write(piece)
    out.flush()


if __name__ == "__main__":
    # A large file makes a million values and no garbage, and this process ends with it: the collector would walk
    # them again and again, for another 40 % of its time.
    gc.disable()
    write_pieces(load(sys.argv[2], Disk(), serving=sys.argv[1] == "--serving"), sys.stdout.buffer)
