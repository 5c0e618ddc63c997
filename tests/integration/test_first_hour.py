"""The first hour: what `init` writes is served at once, and the client that it prints comes back after a drop."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.daemon import ADMIN, COMMAND, Daemon, command
from tests.support.jsclient import DRIVER
from tests.support.ports import free_port
from tests.support.timing import eventually, within

MODULES = DRIVER.parent / "node_modules"


class Started(Daemon):
    """`serve --dev` on a file that `init` wrote, at a port of the test's own."""

    def __init__(self, directory: Path, *flags: str) -> None:
        directory.mkdir()
        super().__init__(directory, {}, arguments=("--dev",))
        self.config.unlink()
        self.initialised = command("init", "--yes", str(directory), *flags)
        assert self.initialised.code == 0, self.initialised
        assert command("check", "compartments.yaml", cwd=directory).code == 0
        # Nothing speaks against it but that `serve` alone refuses a key that was made for development.
        strict = command("check", "--strict", "--format", "json", "compartments.yaml", cwd=directory)
        assert [problem["line"] for problem in strict.json["problems"]] == [15]
        assert "--dev" in strict.json["problems"][0]["message"]
        self.chosen = free_port()
        text = self.config.read_text()
        text = text.replace("127.0.0.1:8000", f"127.0.0.1:{self.chosen}")
        text = text.replace('["127.0.0.1:8001"]', f'["{ADMIN}:0", "unix:{self.admin_socket}"]')
        self.write(text)

    def mint(self, **claims: Any) -> str:
        finished = command("token", "-c", str(self.config), json.dumps(claims))
        assert finished.code == 0, finished
        return finished.out.strip()

    @property
    def snippet(self) -> str:
        """The client that `init` printed."""
        lines = self.initialised.out.partition("import { io }")[2].splitlines()
        return "import { io }" + "\n".join(line.removeprefix("  ") for line in lines)


class Page:
    """The printed client in Node, with a line of output for everything that it shows."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, pattern: str) -> str:
        """Read lines up to one that matches."""
        assert self.process.stdout is not None
        while line := await within(60, self.process.stdout.readline(), pattern):
            if re.search(pattern, line.decode()):
                return line.decode()
        raise AssertionError(f"it ended without {pattern}")


@asynccontextmanager
async def client(daemon: Started, directory: Path, token: str, more: str = "") -> AsyncIterator[Page]:
    (directory / "node_modules").symlink_to(MODULES)
    program = f"const newToken = async () => {json.dumps(token)};\n{daemon.snippet}\n{more}"
    (directory / "page.mjs").write_text(program.replace("127.0.0.1:8000", f"127.0.0.1:{daemon.chosen}"))
    process = await asyncio.create_subprocess_exec(
        "node", "page.mjs", cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield Page(process)
    finally:
        process.kill()
        await process.wait()


SAY = """
setInterval(async () => {
  if (socket.connected && (await say("hello")).ok) console.log("sent by", socket.id);
}, 100);
"""

JOIN = """
setInterval(async () => {
  console.log("join", JSON.stringify(await socket.emitWithAck("join", "project:apollo")));
}, 300);
"""


async def test_what_init_writes_is_served_and_its_client_comes_back_after_a_kill(tmp_path: Path) -> None:
    with Started(tmp_path / "served") as daemon:
        token = daemon.mint(sub="ann", projects=["apollo"])
        async with client(daemon, tmp_path, token, SAY) as page:
            first = await page.says("sent by")
            listed = daemon.run("sessions", "--format", "json").json["sessions"]
            assert [(each["user"]["sub"], each["rooms"]) for each in listed] == [
                ("ann", ["lobby", "project:apollo"])
            ]
            daemon.signal(signal.SIGKILL)
            assert daemon.process is not None
            daemon.process.wait()
            daemon.start()
            while await page.says("sent by") == first:
                continue
            await eventually(lambda: daemon.status()["sessions"] == 1, "one session")


async def test_tail_shows_a_refusal_as_it_is_made(tmp_path: Path) -> None:
    with Started(tmp_path / "served") as daemon:
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, "tail", "--refused", "--socket", daemon.admin_socket),
            stdout=subprocess.PIPE,
            env=daemon.environment | {"PYTHONUNBUFFERED": "1"},
        )
        try:
            assert process.stdout is not None
            token = daemon.mint(sub="bob", projects=["zeus"])
            async with client(daemon, tmp_path, token, JOIN) as page:
                await page.says("rule_denied")
                line = (await within(60, process.stdout.readline(), "a refusal")).decode()
                assert line[9:] == "✗ join /chat project:apollo  dev:bob  rule_denied\n"
                why = (await within(60, process.stdout.readline(), "its reason")).decode()
                assert '(`projects` is `["zeus"]`)' in why
                assert token not in line + why
        finally:
            process.send_signal(signal.SIGINT)
            assert await within(60, process.wait(), "its end") == 0
