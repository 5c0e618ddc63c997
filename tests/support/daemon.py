"""The real daemon, as an operator runs it: a process, a file, signals, and its admin socket.

    with Daemon(tmp_path, {"namespaces": {"/": {"connect": "public"}}}) as daemon:
        ...  # daemon.url for clients, daemon.write(...) and daemon.reload() for the operator

Leaving the block ends it by TERM and asserts that it went with exit code 0, printed no traceback, and that no
token minted by the test stands in its logs.
"""

from __future__ import annotations

import copy
import functools
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import yaml

from tests.support import mint
from tests.support.timing import seconds

PUBLIC = "127.0.0.1"
ADMIN = "127.0.0.2"
"""The admin listener has a loopback address of its own, which tells the two apart in /proc/net/tcp."""

COMMAND = [sys.executable, "-m", "compartmentd"]
LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp (include/net/tcp_states.h)."""


class Finished(NamedTuple):
    """The result of a command: its exit code and output."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Answer(NamedTuple):
    """An HTTP answer; `json` reads its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Daemon:
    """`compartmentd serve` on a configuration of its own.

    `settings` is the configuration as data; `version` and `server` are filled in, with free ports. `issuers`
    are written as key files and as entries, unless `settings` has entries itself. `relative` gives the file
    as a relative path, in its own directory.
    """

    def __init__(
        self,
        directory: Path,
        settings: dict[str, Any],
        *issuers: mint.Issuer,
        arguments: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        relative: bool = False,
    ) -> None:
        self.directory = directory
        self.relative = relative
        self.config = directory / "compartments.yaml"
        self.issuers = issuers
        # A unix socket's path has room for 107 bytes, which pytest's directories can exceed.
        self._runtime = Path(tempfile.gettempdir(), f"compartmentd-{secrets.token_hex(8)}")
        self.admin_socket = str(self._runtime / "admin.sock")
        for issuer in issuers:
            issuer.write_keys(directory)
        self.arguments = arguments
        self.settings = self.complete(settings)
        self.write(self.settings)
        self.environment = {**os.environ, **(environment or {})}
        self.log_file = directory / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None

    def complete(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the settings with what every test daemon has."""
        whole = copy.deepcopy(settings)
        whole.setdefault("version", 1)
        server = whole.setdefault("server", {})
        server.setdefault("listen", [f"{PUBLIC}:0"])
        if not any(address.startswith("unix:") for address in server.setdefault("admin", [])):
            server["admin"].append(f"unix:{self.admin_socket}")
        if "--dev" in self.arguments and all(address.startswith("unix:") for address in server["admin"]):
            server["admin"].append(f"{ADMIN}:0")  # else the playground's is at the port that every user has
        server.setdefault("watch", False)
        server.setdefault("drain", "50ms")
        if self.issuers:
            whole.setdefault("issuers", {issuer.name: issuer.settings() for issuer in self.issuers})
        return whole

    # --- the file -------------------------------------------------------------------------------------------

    def render(self, settings: dict[str, Any]) -> str:
        """Return the text of a configuration file with these settings."""
        return yaml.safe_dump(self.complete(settings), sort_keys=False)

    def write(self, settings: dict[str, Any] | str) -> None:
        """Replace the configuration, atomically, as editors and deployments do."""
        written = self.config.with_suffix(".new")
        written.write_text(settings if isinstance(settings, str) else self.render(settings))
        written.rename(self.config)

    def change(self, *path: str, to: Any) -> None:
        """Change one key of the configuration (`...` removes it) and write the file."""
        place = self.settings
        for key in path[:-1]:
            place = place[key]
        if to is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = to
        self.write(self.settings)

    # --- the process ----------------------------------------------------------------------------------------

    def launch(self, output: IO[bytes] | int) -> None:
        """Start the process and let it write there, without waiting for it."""
        self._runtime.mkdir(mode=0o700, exist_ok=True)
        self.process = subprocess.Popen(
            [
                *COMMAND,
                "serve",
                "-c",
                self.config.name if self.relative else str(self.config),
                *self.arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=self.environment,
            cwd=self.directory,
        )

    def start(self) -> None:
        """Start it and wait until `/readyz` says that it is ready."""
        with self.log_file.open("ab") as log:
            self.launch(log)
        assert self.process is not None
        deadline = time.monotonic() + seconds(60)
        while not self._is_ready():
            assert self.process.poll() is None, f"the daemon ended at its start:\n{self.log}"
            assert time.monotonic() < deadline, f"the daemon did not become ready:\n{self.log}"
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz").status == 200
        except OSError:  # it does not listen yet
            return False

    def stop(self) -> int:
        """End it by TERM, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds(60))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon did not end on TERM:\n{self.log}") from None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            code = self.stop()
            if kind is None:
                assert code == 0, f"exit code {code}:\n{self.log}"
                self.assert_clean_log()
            else:
                print(self.log)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End it at once, if it still runs, and remove its socket."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self._runtime, ignore_errors=True)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    # --- what it says ---------------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        """All that it has written so far, on stdout and stderr."""
        return self.log_file.read_text(errors="replace")

    def assert_clean_log(self) -> None:
        """Assert that the log has no unhandled error, and no part of a secret or token that reveals anything."""
        log = self.log
        for sign in (
            "Traceback (most recent call last)",
            "Task exception was never",
            "coroutine '",
            "Error: ",
        ):
            assert sign not in log, log
        for token in mint.minted:
            for part in token.split(".")[1:]:
                assert part not in log, f"a token's part stands in the log:\n{log}"
        for issuer in self.issuers:
            assert not issuer.secret or issuer.secret not in log, "a secret stands in the log"

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://{PUBLIC}:{self.port}"

    @functools.cached_property
    def port(self) -> int:
        """The public port, asked of the kernel, so that no test depends on the words of a log line."""
        return self._port_at(PUBLIC)

    @property
    def admin_url(self) -> str:
        """The admin listener on TCP, of a daemon that has one at `ADMIN`."""
        return f"http://{ADMIN}:{self._port_at(ADMIN)}"

    def _port_at(self, host: str) -> int:
        assert self.process is not None
        found = {port for address, port in listening(self.process.pid) if address == host}
        assert len(found) == 1, f"listens at {host} on {found}"
        return found.pop()

    # --- the operator ---------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Ask the admin socket."""
        connection = _UnixConnection(self.admin_socket, timeout=seconds(60))
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def status(self) -> dict[str, Any]:
        """Return `GET /admin/status`."""
        return self.get("/admin/status").json

    def run(self, *arguments: str) -> Finished:
        """Run a command that finds this daemon by its admin socket: `reload`, `status`, `admin-token`."""
        return command(*arguments, "--socket", self.admin_socket, cwd=self.directory)

    def reload(self) -> dict[str, Any]:
        """Run `compartmentd reload`, which must succeed, and return what it says as JSON."""
        finished = self.run("reload", "--format", "json")
        assert finished.code == 0, finished
        return finished.json


def command(*arguments: str, cwd: Path | None = None, environment: dict[str, str] | None = None) -> Finished:
    """Run the command line once."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds(60),
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def listening(pid: int) -> set[tuple[str, int]]:
    """Return the IPv4 addresses on which a process listens, from /proc (proc(5))."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # closed while we looked
            continue
        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
            inodes.add(match[1])
    found = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == LISTEN and fields[9] in inodes:
            address, port = fields[1].split(":")
            host = ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
            found.add((host, int(port, 16)))
    return found
