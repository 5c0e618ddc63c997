"""A real systemd manager to run units under: `systemd --user` in mount and pid namespaces of its own.

    with UserManager() as systemd:
        systemd.install(unit, drop_in)
        systemd.do("start", "compartmentd.service")

It shares the network and the files with the test. Its pid namespace ends with it, and so does all that it
started.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.timing import seconds

SYSTEMD = "/usr/lib/systemd/systemd"

# systemd refuses to be the user instance of a system that it has not booted, which it tells by this directory.
# Without root, mounting needs a user namespace.
PREPARE = """
mount -t tmpfs tmpfs "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
"$@"
"""


class UserManager:
    """Starts and ends with a `with` block; `directory` is its own, and short, as unix sockets need it."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.gettempdir(), f"systemd-{secrets.token_hex(4)}")
        self.units = self.directory / "units"
        self.runtime = self.directory / "run"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "SYSTEMD_UNIT_PATH": f"{self.units}:/usr/lib/systemd/user",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for directory in (self.directory, self.units, self.runtime):
            directory.mkdir(mode=0o700)
        rights = [] if os.geteuid() == 0 else ["--map-root-user"]
        self._process = subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", *rights),
                *("sh", "-e", "-c", PREPARE, "sh"),
                *(SYSTEMD, "--user", "--unit=basic.target"),
            ],
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _wait(self) -> None:
        deadline = time.monotonic() + seconds(60)
        while self.systemctl("is-system-running").stdout.strip() != "running":
            assert self._process is not None
            assert self._process.poll() is None, "systemd ended"
            assert time.monotonic() < deadline, "systemd did not come up"
            time.sleep(0.05)

    def _end(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def install(self, unit: Path, drop_in: str, name: str = "") -> None:
        """Install a unit as it is shipped, with a drop-in beside it, which applies first of all."""
        name = name or unit.name
        shutil.copy(unit, self.units / name)
        drop_ins = self.units / f"{name}.d"
        drop_ins.mkdir(exist_ok=True)
        (drop_ins / "test.conf").write_text(drop_in)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, and return what it left."""
        return subprocess.run(
            ["nsenter", "--target", str(self._first()), "--mount", "--pid", *command],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds(100),
        )

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `systemctl`, whatever comes of it."""
        return self.run("systemctl", "--user", "--no-pager", "--full", *arguments)

    def do(self, *arguments: str) -> str:
        """Run `systemctl`, which must succeed, and return its output."""
        done = self.systemctl(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.do("show", "--value", f"--property={name}", unit).strip()

    def _first(self) -> int:
        """Return the process that is number 1 inside, as it is numbered here; ours until it is there."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else os.getpid()
