"""Compiles a configuration in a child process, so that the event loop is not held.

A thread would not do: parsing and checking hold the interpreter lock, and stopped the loop for most of a second.
The child writes the compiled configuration to its standard output; the daemon reads it one room template at a time
and lets others run in between.

The stream is a sequence of pieces, each four bytes of length (big endian) and its bytes: a `_StreamHead` and the
room templates of all namespaces in order as MessagePack, then the files' bytes as they are. Nothing else may write
to that stream.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import IO, BinaryIO

import msgspec

from compartmentd.configuration.compiler import Contents, Loaded, load
from compartmentd.configuration.settings import Configuration
from compartmentd.names import Digest
from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.templates.interning import TemplateInterner
from compartmentd.problems import Problem, span_of_file
from compartmentd.storage.files import Disk
from compartmentd.telemetry.logs import log
from compartmentd.util.cooperative import Slicer

TIMEOUT = 120.0
"""Seconds after which a compilation is given up; the largest accepted files take about a tenth of it."""

PIECE = 1 << 20
"""Bytes of a file that are sent at a time."""


_LENGTH = struct.Struct(">I")


class _FileHead(msgspec.Struct, frozen=True):
    """A file that follows, in pieces of at most `PIECE` bytes; its name is bytes, as the file system has it."""

    name: bytes
    size: int


class _StreamHead(msgspec.Struct, frozen=True):
    """Everything that was loaded but what follows in pieces of its own: room templates and contents.

    INVARIANT: `loaded` is the whole value with exactly those two replaced, never a list of fields, so that a field
    that is added to any part of a configuration is sent, too.

    Attributes:
        rooms: how many room templates each namespace has, in the order of the namespaces.
        contents: the files, in order.
    """

    loaded: Loaded
    rooms: tuple[int, ...]
    contents: tuple[_FileHead, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_StreamHead).decode
_decode_room = msgspec.msgpack.Decoder(RoomTemplate).decode


def split_into_pieces(loaded: Loaded) -> Iterator[bytes]:
    """Yield the pieces of the stream."""
    configuration, rooms = loaded.configuration, _list_rooms(loaded.configuration)
    heads = tuple(_FileHead(os.fsencode(name), len(raw)) for name, raw in loaded.contents)
    if configuration is not None:
        configuration = _replace_rooms(configuration, [() for _ in rooms])
    rest = msgspec.structs.replace(loaded, configuration=configuration, contents=())
    yield _encode(_StreamHead(rest, tuple(map(len, rooms)), heads))
    for group in rooms:
        yield from map(_encode, group)
    for _, raw in loaded.contents:
        yield from (raw[start : start + PIECE] for start in range(0, len(raw), PIECE))


async def assemble(stream: AsyncIterator[bytes], known: Digest) -> Loaded:
    """Build what was loaded from the pieces, letting others run between slices.

    If the digest is `known`, configuration and contents are left out: the caller has them already, and building
    and freeing them again would cost the loop for nothing.
    """
    head = _decode_head(await anext(stream))
    loaded = head.loaded
    if loaded.digest == known:
        return msgspec.structs.replace(loaded, configuration=None)
    configuration = loaded.configuration
    if configuration is not None:
        configuration = _replace_rooms(configuration, await _read_rooms(stream, head.rooms))
    contents: Contents = tuple(
        [(os.fsdecode(file.name), await _read_file(stream, file.size)) for file in head.contents]
    )
    return msgspec.structs.replace(loaded, configuration=configuration, contents=contents)


def _list_rooms(configuration: Configuration | None) -> list[tuple[RoomTemplate, ...]]:
    """Return the room templates of each namespace, in order."""
    if configuration is None:
        return []
    return [namespace.rooms for namespace in configuration.policy.namespaces.values()]


def _replace_rooms(configuration: Configuration, rooms: list[tuple[RoomTemplate, ...]]) -> Configuration:
    """Return the same configuration with these room templates, by namespace in order."""
    policy = configuration.policy
    namespaces = {
        name: msgspec.structs.replace(namespace, rooms=group)
        for (name, namespace), group in zip(policy.namespaces.items(), rooms, strict=True)
    }
    policy = msgspec.structs.replace(policy, namespaces=namespaces)
    return msgspec.structs.replace(configuration, policy=policy)


async def _read_rooms(
    stream: AsyncIterator[bytes], counts: tuple[int, ...]
) -> list[tuple[RoomTemplate, ...]]:
    """Read the room templates of each namespace; equal parts of them become one object."""
    share = TemplateInterner().intern
    groups = []
    slicer = Slicer()
    for count in counts:
        group: list[RoomTemplate] = []
        for _ in range(count):
            group.append(share(_decode_room(await anext(stream))))
            if slicer.is_over():
                await slicer.pause()
        groups.append(tuple(group))
    return groups


async def _read_file(stream: AsyncIterator[bytes], size: int) -> bytes:
    parts = [await anext(stream) for _ in range(0, size, PIECE)]
    return b"".join(parts)


async def compile_in_child(path: str, known: Digest, *, development: bool) -> Loaded:
    """Load the configuration at `path` for serving, in a child process; one that fails is a problem of its own.

    Args:
        path: the main file.
        known: a digest whose configuration the caller has; of the same files only the rest is returned.
        development: whether secrets that are missing will be made.
    """
    try:
        async with _run_child(path, development=development) as child:
            try:
                async with asyncio.timeout(TIMEOUT):
                    loaded = await assemble(_read_pieces(child.out), known)
                    await _drain(child.out)
                    return loaded
            except (TimeoutError, asyncio.IncompleteReadError, msgspec.DecodeError) as error:
                status, words = await child.end()
                log(
                    logging.ERROR,
                    "compiler_failed",
                    "the compiling process failed",
                    status=status,
                    words=words,
                )
                return _fail(path, error)
    except OSError as error:
        # No process or descriptor is left: the old generation stays, and clients with it.
        log(logging.ERROR, "compiler_failed", "the compiling process did not start", words=[error.strerror])
        return _fail(path, error)


class _Child:
    """The compiling process: `out` is its standard output, its standard error is collected."""

    def __init__(
        self, process: subprocess.Popen[bytes], out: asyncio.StreamReader, err: asyncio.StreamReader
    ) -> None:
        self._process = process
        self._words = asyncio.ensure_future(err.read())
        self.out = out

    async def end(self) -> tuple[int, list[str]]:
        """End the process, if it still runs; return its exit status and the last line that it wrote."""
        status = await _end(self._process)
        words = (await self._words).decode(errors="replace").strip().splitlines()
        return status, words[-1:]


@asynccontextmanager
async def _run_child(path: str, *, development: bool) -> AsyncIterator[_Child]:
    """Run the compiling process; it has ended when the block is left.

    Started without the loop's own way: uvloop forks, which held the loop for 52 ms where the daemon had 400 MB, and
    this takes 0.3 ms (vfork).

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - takes a millisecond; our own program
        [
            sys.executable,
            "-P",  # or `-m` would import modules from the working directory
            "-m",
            "compartmentd.control.compile_worker",
            path,
            *(["--dev"] if development else []),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if process.stdout is None or process.stderr is None:
        raise AssertionError("a child that was given pipes has them")
    try:
        async with _open_reader(process.stdout) as out, _open_reader(process.stderr) as err:
            yield _Child(process, out, err)
    finally:
        await _end(process)


async def _end(process: subprocess.Popen[bytes]) -> int:
    """Kill a process, if it still runs, and return its exit status."""
    if process.poll() is None:
        process.kill()
    # In a thread of the pool: before Python 3.12 asyncio's own way to wait starts a thread for each child.
    return await asyncio.to_thread(process.wait)


@asynccontextmanager
async def _open_reader(pipe: IO[bytes]) -> AsyncIterator[asyncio.StreamReader]:
    """Read a pipe on the loop; it is closed when the block is left."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        yield reader
    finally:
        transport.close()


def _fail(path: str, error: Exception) -> Loaded:
    too_long = isinstance(error, TimeoutError)
    problem = Problem(
        "error",
        "reload.compiler-failed",
        f"compiling took longer than {TIMEOUT:g} s" if too_long else "the compiling process ended early",
        span_of_file(path),
        "nothing was changed; the log has the last words of that process",
    )
    return Loaded(configuration=None, problems=(problem,), digest=Digest(""), files=(), globs=())


async def _read_pieces(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        yield await stream.readexactly(length)


async def _drain(stream: asyncio.StreamReader) -> None:
    """Read what is left: a child whose pieces are not wanted ends only when they are taken."""
    while await stream.read(1 << 16):
        pass


def write_pieces(loaded: Loaded, out: BinaryIO) -> None:
    """Write the stream; the child's whole output."""
    for piece in split_into_pieces(loaded):
        out.write(_LENGTH.pack(len(piece)))
        out.write(piece)
    out.flush()


if __name__ == "__main__":
    # A large file makes a million values and no garbage, and this process ends with it: the collector would walk
    # them again and again, for another 40 % of its time.
    gc.disable()
    loaded_here = load(sys.argv[1], Disk(), serving=True, development=sys.argv[2:] == ["--dev"])
    write_pieces(loaded_here, sys.stdout.buffer)
