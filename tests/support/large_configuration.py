"""Prints what a large configuration costs: the CPU of `check`, and of a start until clients are served.

`python -m tests.support.large_configuration [TEMPLATES]` writes a configuration of so many room templates (10,000),
runs each command three times and prints the least of each.
"""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOM = """\
      "project{n}:{{project}}":
        params: {{project: {{pattern: "[a-z0-9-]{{1,40}}"}}}}
        join: {{any: [{{claim: projects, contains: "{{project}}"}}, {{scope: "p:{{project}}"}}, {{rule: r}}]}}
        publish: {{all: [{{scope: chat:write}}, {{not: {{claim: suspended, equals: true}}}}]}}
        events: [message]
"""
HEAD = """\
version: 1
server: {{listen: ["127.0.0.1:{port}"]}}
rules: {{r: {{claim: a, equals: b}}}}
namespaces:
  /:
    connect: public
    rooms:
"""
ROUNDS = 3


def main() -> None:
    """Measure and print."""
    templates = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as directory:
        path, port = Path(directory, "compartments.yaml"), _free_port()
        path.write_text(HEAD.format(port=port) + "".join(ROOM.format(n=n) for n in range(templates)))
        print(f"{templates} templates, seconds of CPU: check {_least(lambda: _check(path)):.2f}", end=", ")
        print(f"start {_least(lambda: _start(path, port)):.2f}")


def _least(run: Callable[[], None]) -> float:
    return min(_cpu(run) for _ in range(ROUNDS))


def _cpu(run: Callable[[], None]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _check(path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "compartmentd", "check", str(path)], check=True, capture_output=True
    )


def _start(path: Path, port: int) -> None:
    command = [sys.executable, "-m", "compartmentd", "serve", "--config", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        while server.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise SystemExit(f"the server ended with {server.returncode}")
        server.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
