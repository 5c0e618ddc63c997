"""The proxies of the recipes as real processes: nginx, HAProxy and Caddy, each with its recipe's own file.

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
from tests.support.timing import seconds

RECIPES = Path(__file__).parent.parent.parent / "config/recipes/proxies"
PORT = 8080


class Proxy(NamedTuple):
    """A proxy: its recipe, how its file becomes one that a test can run, and the command."""

    recipe: str
    fit: Callable[[str, str, Path], str]
    command: Callable[[Path], Sequence[str]]
    idle: tuple[str, ...]
    """The lines after which it gives up on a connection on which nothing comes; empty if it never does."""


def _swap(text: str, old: str, new: str) -> str:
    assert old in text, f"the recipe does not hold `{old}` any more"
    return text.replace(old, new)


def _nginx(text: str, host: str, directory: Path) -> str:
    site = _swap(text, "listen 80;", f"listen {host}:{PORT};")
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


def _haproxy(text: str, host: str, _directory: Path) -> str:
    return _swap(text, "bind :80", f"bind {host}:{PORT}")


def _caddy(text: str, host: str, _directory: Path) -> str:
    site = _swap(text, "rt.example.com {", f"http://{host}:{PORT} {{\n\tbind {host}")
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
    """Run nginx by its recipe, but in front of this one upstream; yield its URL."""
    host = _own_host()
    text = (RECIPES / "nginx.conf").read_text()
    text = _swap(text, "server 127.0.0.1:8001;", f"server {upstream};")
    text = re.sub(r"server 127\.0\.0\.1:8002;.*", "", text)
    with _serving("nginx", _nginx(text, host, directory), host, directory) as url:
        yield url


@contextmanager
def running(name: str, directory: Path, nodes: Sequence[Daemon], idle: str = "60s") -> Iterator[str]:
    """Run a proxy in front of two daemons; yield its URL. It gives idle connections `idle`."""
    proxy = PROXIES[name]
    host = _own_host()
    text = proxy.fit((RECIPES / proxy.recipe).read_text(), host, directory)
    for index, node in enumerate(nodes, 1):
        text = _swap(text, f"127.0.0.1:800{index}", f"127.0.0.1:{node.port}")
        admin = node.admin_url.removeprefix("http://").replace(":", " port ")
        text = text.replace(f"addr 127.0.0.1 port 900{index}", f"addr {admin}")
    for line in proxy.idle:
        text = _swap(text, line, line.replace("60s", idle))
    with _serving(name, text, host, directory) as url:
        yield url


def _own_host() -> str:
    """Return an address of loopback that no other test has, so that a fixed port is free there."""
    dice = random.SystemRandom()
    return f"127.{dice.randint(10, 250)}.{dice.randint(0, 250)}.{dice.randint(1, 250)}"


@contextmanager
def _serving(name: str, text: str, host: str, directory: Path) -> Iterator[str]:
    proxy = PROXIES[name]
    file = directory / proxy.recipe
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
        _wait(host, process, log)
        yield f"http://{host}:{PORT}"
    finally:
        process.terminate()
        try:
            process.wait(seconds(10))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + seconds(20)
    while True:
        assert process.poll() is None, f"it ended:\n{log.read_text()}"
        with socket.socket() as probe:
            if probe.connect_ex((host, PORT)) == 0:
                return
        assert time.monotonic() < deadline, f"it does not listen:\n{log.read_text()}"
        time.sleep(0.02)
