"""The proxies of the documentation as real processes: nginx, HAProxy and Caddy, each with its own file.

Addresses and times are what a test exchanges in the file; everything else is run as it stands there.
"""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.timing import seconds

FILES = Path(__file__).parent.parent.parent / "docs/operate/proxies"


class Place(NamedTuple):
    """Where a proxy listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def own(cls) -> Place:
        """Return a place at an address of loopback that no other test has, nor anybody's connections."""
        dice = random.SystemRandom()
        host = f"127.{dice.randint(10, 250)}.{dice.randint(0, 250)}.{dice.randint(1, 250)}"
        return cls(host, free_port(host))


class Proxy(NamedTuple):
    """A proxy: its file, how this becomes one that a test can run, and the command."""

    file: str
    fit: Callable[[str, Place, Path], str]
    command: Callable[[Path], Sequence[str]]
    idle: tuple[str, ...]
    """The lines after which it gives up on a connection on which nothing comes; empty if it never does."""


def _swap(text: str, old: str, new: str) -> str:
    assert old in text, f"the file does not hold `{old}` any more"
    return text.replace(old, new)


def _name_two_processes(text: str) -> str:
    """Take the line of the one process out and the commented lines of two in, as the file says."""
    without = re.sub(r"^.*127\.0\.0\.1:8000.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^(\s*)# (.*127\.0\.0\.1:801.*)$", r"\1\2", without, flags=re.MULTILINE)


def _nginx(text: str, place: Place, directory: Path) -> str:
    site = _swap(text, "listen 80;", f"listen {place};")
    return f"""
daemon off;
{"user root;" if os.getuid() == 0 else ""}
pid {directory}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{site}
}}
"""


def _haproxy(text: str, place: Place, _directory: Path) -> str:
    return _swap(text, "bind :80", f"bind {place}")


def _caddy(text: str, place: Place, _directory: Path) -> str:
    site = _swap(text, "rt.example.com {", f"http://{place} {{\n\tbind {place.host}")
    return "{\n\tadmin off\n\tauto_https off\n}\n" + site


PROXIES = {
    "nginx": Proxy(
        "nginx.conf",
        _nginx,
        lambda file: ["/usr/sbin/nginx", "-e", "stderr", "-c", str(file)],
        ("proxy_read_timeout 60s", "proxy_send_timeout 60s"),
    ),
    "haproxy": Proxy(
        "haproxy.cfg",
        _haproxy,
        lambda file: ["/usr/sbin/haproxy", "-db", "-f", str(file)],
        ("timeout client 60s", "timeout server 60s", "timeout tunnel 60s"),
    ),
    "caddy": Proxy(
        "Caddyfile",
        _caddy,
        lambda file: ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", str(file)],
        (),
    ),
}


@contextmanager
def nginx_before(upstream: str, directory: Path) -> Iterator[str]:
    """Run nginx by its file, but in front of this one upstream; yield its URL."""
    place = Place.own()
    text = (FILES / "nginx.conf").read_text()
    text = _swap(text, "server 127.0.0.1:8000 max_fails=0;", f"server {upstream};")
    with _serving("nginx", _nginx(text, place, directory), place, directory) as url:
        yield url


@contextmanager
def running(name: str, directory: Path, nodes: Sequence[Daemon], idle: str = "60s") -> Iterator[str]:
    """Run a proxy in front of two daemons; yield its URL. It gives idle connections `idle`."""
    proxy = PROXIES[name]
    place = Place.own()
    text = _name_two_processes(proxy.fit((FILES / proxy.file).read_text(), place, directory))
    for index, node in enumerate(nodes):
        text = _swap(text, f"127.0.0.1:801{index}", f"127.0.0.1:{node.port}")
        admin = node.admin_url.removeprefix("http://").replace(":", " port ")
        text = text.replace(f"addr 127.0.0.1 port 811{index}", f"addr {admin}")
    for line in proxy.idle:
        text = _swap(text, line, line.replace("60s", idle))
    with _serving(name, text, place, directory) as url:
        yield url


@contextmanager
def _serving(name: str, text: str, place: Place, directory: Path) -> Iterator[str]:
    proxy = PROXIES[name]
    file = directory / proxy.file
    file.write_text(text)
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            proxy.command(file),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env={**os.environ, "HOME": str(directory), "XDG_DATA_HOME": str(directory)},
        )
    try:
        _wait(place, process, log)
        yield f"http://{place}"
    finally:
        process.terminate()
        try:
            process.wait(seconds(10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(place: Place, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + seconds(60)
    while True:
        assert process.poll() is None, f"it ended:\n{log.read_text()}"
        with socket.socket() as probe:
            if probe.connect_ex(place) == 0:
                return
        assert time.monotonic() < deadline, f"it does not listen:\n{log.read_text()}"
        time.sleep(0.02)
