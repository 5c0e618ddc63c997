"""The shipped unit, installed under a manager of its own."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.ports import free_port
from tests.support.systemd import UserManager

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "config/systemd"
SERVICE = "compartmentd.service"
COMMAND = f"{sys.executable} -m compartmentd"


class Service:
    """A shipped unit under a manager of its own, with a configuration; an `@` stands for an instance of it."""

    def __init__(
        self, directory: Path, systemd: UserManager, *, passed: bool = False, name: str = "compartmentd"
    ) -> None:
        self.systemd = systemd
        self.port = free_port()
        self._template = name
        self._name = name.replace("@", f"@{self.port}")
        self.unit = f"{self._name}.service"
        self.config = directory / "compartments.yaml"
        self.log = directory / "log"
        self.passed = passed
        self.settings: dict[str, Any] = {
            "version": 1,
            "server": {
                "listen": ["systemd:public" if passed else f"127.0.0.1:{self.port}"],
                "drain": "2s",
                "watch": False,
            },
            "namespaces": {"/": {"connect": "public"}},
        }
        self.write()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write(self) -> None:
        self.config.write_text(yaml.safe_dump(self.settings))

    def install(self, more: str = "") -> None:
        """Install the unit; the drop-in takes what a user's manager cannot do, and what hides the test's files."""
        self.systemd.install(
            UNITS / f"{self._template}.service",
            f"""[Service]
ExecStartPre=
ExecStartPre={COMMAND} check {self.config}
ExecStart=
ExecStart={COMMAND} serve --config {self.config}
ExecReload=
ExecReload={COMMAND} reload
Environment=PYTHONPATH={ROOT}
StandardOutput=append:{self.log}
StandardError=append:{self.log}
# An account is lent by the system's manager alone.
DynamicUser=no
User=
ProtectKernelTunables=no
ProtectKernelModules=no
ProtectKernelLogs=no
ProtectClock=no
# The test's files lie there.
ProtectHome=no
PrivateTmp=no
ReadWritePaths=/tmp
{more}
""",
        )
        if self.passed:
            listen = f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{self.port}\n"
            # An instance listens at the port that it is named by.
            is_instance = "@" in self._template
            self.systemd.install(UNITS / f"{self._template}.socket", "" if is_instance else listen)
        self.systemd.do("daemon-reload")

    def start(self, more: str = "") -> None:
        self.install(more)
        units = [f"{self._name}.socket", self.unit] if self.passed else [self.unit]
        started = self.systemd.systemctl("start", *units)
        said = self.log.read_text() if self.log.exists() else ""
        assert started.returncode == 0, (started, self.systemd.systemctl("status", self.unit), said)

    def show(self, name: str) -> str:
        return self.systemd.show(self.unit, name)

    def kill(self, number: signal.Signals) -> None:
        self.systemd.do("kill", "--kill-who=main", f"--signal={number.name}", self.unit)
