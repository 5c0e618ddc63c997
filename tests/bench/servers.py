"""The servers that are measured, each a process of its own on one core, where no load runs.

    python -m tests.bench.servers ours|node|python-socketio|nchan

starts one, says where it is, and waits. Those that speak Socket.IO answer the same requests, with the same checks:
a token with the scope `chat` to connect, its claim `groups` to join `room:GROUP`, membership to publish.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from tests.bench import compiled, tokens
from tests.bench.tokens import Tokens
from tests.bench.trees import THIS, Tree
from tests.support import certificates
from tests.support.ports import free_port

HERE = Path(__file__).parent
PEERS = HERE / "peers"
HOST = "127.0.0.1"
CORE = min(os.sched_getaffinity(0))
"""The servers' core: the first that this process may use. The load has the last."""

PATIENCE = 30.0
"""Seconds that a server may take to listen."""

PAGE = resource.getpagesize()


class Server:
    """A server that runs: where it listens, and what it has used.

    `tls_port` is None where it offers no TLS. `directory` has its configuration and what it logged.
    """

    def __init__(
        self,
        name: str,
        port: int,
        processes: list[subprocess.Popen[bytes]],
        directory: Path,
        tls_port: int | None = None,
    ) -> None:
        self.name = name
        self.host = HOST
        self.port = port
        self.tls_port = tls_port
        self.directory = directory
        self._processes = processes

    @property
    def pid(self) -> int:
        """The process that serves plain connections."""
        return self._processes[0].pid

    @property
    def pids(self) -> list[int]:
        """Its processes, with their children."""
        return [pid for process in self._processes for pid in family(process.pid)]

    @property
    def ended(self) -> bool:
        """Whether one of its processes has gone by itself."""
        return any(process.poll() is not None for process in self._processes)

    def cpu(self) -> int:
        """Return the CPU time of all that it runs, in ns; what has ended meanwhile is not in it."""
        return sum(cpu_of(pid) for pid in self.pids)

    def memory(self) -> int:
        """Return the resident memory, in bytes, of the process that serves plain connections and its children."""
        return sum(memory_of(pid) for pid in family(self.pid))

    def stop(self) -> None:
        """End it."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def family(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it, from /proc (proc(5))."""
    yield pid
    for task in _tasks(pid):
        with contextlib.suppress(OSError):  # it ended while we looked
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def cpu_of(pid: int) -> int:
    """Return the CPU time of a process's threads, in ns: the first field of their schedstat."""
    total = 0
    for task in _tasks(pid):
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total


def memory_of(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


# --- starting -------------------------------------------------------------------------------------------------


def start(name: str, given: Tokens, tree: Tree = THIS) -> Server:
    """Start a server that knows the key of these tokens, and return it when it listens.

    Args:
        name: One of `PEERS_OF_OURS`, or any other name for the daemon of a tree.
        given: The tokens.
        tree: The code of the daemon.
    """
    directory = Path(tempfile.mkdtemp(prefix=f"compartmentd-bench-{name}-"))
    starter = PEERS_OF_OURS.get(name)
    server = starter(directory, given) if starter else _daemon(name, directory, given, tree)
    for port in filter(None, (server.port, server.tls_port)):
        _wait(server, port)
    return server


def _spawn(directory: Path, *command: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start a process on the servers' core; what it prints goes to a file, as a service's would to the journal."""
    with on_the_servers_core(), (directory / "output.log").open("ab") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],  # none is left behind by a run that is killed
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
        )


@contextlib.contextmanager
def on_the_servers_core() -> Iterator[None]:
    """Start what is started in here on the servers' core, with all the descriptors that there may be.

    A child inherits both from its first instruction on, which nothing set afterwards would give it.
    """
    before, (soft, hard) = os.sched_getaffinity(0), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _wait(server: Server, port: int) -> None:
    """Wait until it listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, port), 1):
            return
        if server.ended or time.monotonic() > deadline:
            said = (server.directory / "output.log").read_text(errors="replace")
            server.stop()
            raise RuntimeError(f"{server.name} did not start:\n{said}")
        time.sleep(0.02)


def _ports(count: int) -> list[int]:
    """Return ports that are free."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port(HOST))
    return list(found)


def _certificate(directory: Path) -> tuple[str, str]:
    """Write a certificate of our own and its key."""
    files = certificates.write(directory, certificates.make())
    return files.cert, files.key


def configuration(given: Tokens, directory: Path, listen: list[str], **server: object) -> dict[str, object]:
    """Return what ours is configured by: everything that an operator has, with limits that refuse nothing.

    The rates are finite, so that they are counted.
    """
    return {
        "version": 1,
        "server": {
            "listen": listen,
            "admin": [f"unix:{directory}/admin.sock"],
            "connections": 16000,
            "drain": "50ms",
            **server,
        },
        "issuers": {
            "id": {
                "issuer": tokens.ISSUER,
                "audience": tokens.AUDIENCE,
                "jwks_file": str(given.jwks),
                "algorithms": ["RS256"],
            }
        },
        "limits": {
            "message_rate": "1000000/s",
            "join_rate": "1000000/s",
            "sessions_per_user": 1000,
        },
        "namespaces": {
            "/": {
                "connect": {"scope": tokens.SCOPE},
                "rooms": {
                    "room:{group}": {
                        "join": {"claim": "groups", "contains": "{group}"},
                        "publish": "members",
                        "events": ["message"],
                    },
                },
            },
        },
    }


def serve(directory: Path, settings: dict[str, object], tree: Tree) -> subprocess.Popen[bytes]:
    """Start `compartmentd serve` of a tree on a configuration."""
    file = directory / "compartments.yaml"
    file.write_text(yaml.dump(settings, Dumper=yaml.CSafeDumper, sort_keys=False))
    return _spawn(directory, *tree.command("compartmentd", "serve", "-c", str(file)), **tree.environment())


def _daemon(name: str, directory: Path, given: Tokens, tree: Tree) -> Server:
    """Start a tree's daemon twice: one listens with TLS everywhere or nowhere."""
    port, tls_port = _ports(2)
    secure = directory / "tls"
    secure.mkdir()
    cert, key = _certificate(secure)
    plain = serve(directory, configuration(given, directory, [f"{HOST}:{port}"]), tree)
    with_tls = serve(
        secure, configuration(given, secure, [f"{HOST}:{tls_port}"], tls={"cert": cert, "key": key}), tree
    )
    return Server(name, port, [plain, with_tls], directory, tls_port)


@contextlib.contextmanager
def daemon_with(
    given: Tokens,
    settings: Callable[[Tokens, Path, int], dict[str, object]],
    name: str,
    tree: Tree,
) -> Iterator[Server]:
    """Give a tree's daemon with a configuration made of the tokens, its directory and the port to listen on."""
    directory = Path(tempfile.mkdtemp(prefix=f"compartmentd-bench-{name}-"))
    [port] = _ports(1)
    server = Server(name, port, [serve(directory, settings(given, directory, port), tree)], directory)
    try:
        _wait(server, port)
        yield server
    finally:
        server.stop()


def _node(directory: Path, given: Tokens) -> Server:
    port, tls_port = _ports(2)
    cert, key = _certificate(directory)
    script = str(PEERS / "node/server.mjs")
    process = _spawn(
        directory, "node", script, str(port), str(tls_port), str(given.pem), cert, key, NODE_ENV="production"
    )
    return Server("node", port, [process], directory, tls_port)


def _python_socketio(directory: Path, given: Tokens) -> Server:
    [port] = _ports(1)
    script = str(PEERS / "python_socketio.py")
    return Server(
        "python-socketio",
        port,
        [_spawn(directory, sys.executable, script, str(port), str(given.pem))],
        directory,
    )


def _nchan(directory: Path, given: Tokens) -> Server:
    [port] = _ports(1)
    text = (PEERS / "nchan.conf").read_text().replace("PORT", str(port)).replace("DIRECTORY", str(directory))
    file = directory / "nginx.conf"
    file.write_text(text)
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    process = _spawn(
        directory, str(nginx), "-p", "/usr/share/nginx", "-c", str(file), "-e", f"{directory}/nginx.log"
    )
    return Server("nchan", port, [process], directory)


def _floor(mode: str) -> Callable[[Path, Tokens], Server]:
    """Return how to start the floor in C: a send() for `each` message and recipient, or messages `joined`."""

    def start(directory: Path, _: Tokens) -> Server:
        [port] = _ports(1)
        return Server(
            "c", port, [_spawn(directory, str(compiled.program("floor")), str(port), mode)], directory
        )

    return start


PEERS_OF_OURS: dict[str, Callable[[Path, Tokens], Server]] = {
    "node": _node,
    "python-socketio": _python_socketio,
    "nchan": _nchan,
    "c": _floor("each"),
    "c-joined": _floor("joined"),
}


def main() -> None:
    """Start the named server and wait until it is interrupted."""
    given = tokens.make()
    server = start(sys.argv[1], given)
    wanted = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    try:
        print(f"{server.name}: {server.host}:{server.port}, TLS {server.tls_port}, pid {server.pid}")
        print(f"tokens: {given.file}")
        print(f"directory: {server.directory}", flush=True)
        signal.sigwait(wanted)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
