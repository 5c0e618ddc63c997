"""The HTML pages of the documentation, in a browser, against the daemon: byte for byte as a reader copies them.

The pages name the addresses of the documentation (`127.0.0.1:8000`, `localhost:3000`). The browser is told to
connect to the ports of the test instead, and to still believe that it speaks to these.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from tests.support.daemon import ADMIN, Daemon, command
from tests.support.markdown import block, page
from tests.support.ports import free_port
from tests.support.timing import seconds

LIBRARY = Path(__file__).parents[2] / "compartmentd/http/pages/vendor/socket.io.min.js"

expect.set_options(timeout=seconds(30) * 1000)


class Documented(Daemon):
    """`compartmentd serve --dev` on the configuration of a page of the documentation, at a port of its own."""

    def __init__(self, directory: Path, configuration: str) -> None:
        super().__init__(directory, {}, arguments=("--dev",))
        self.chosen = free_port()
        addresses = (
            f'server:\n  listen: ["127.0.0.1:{self.chosen}"]\n  drain: 50ms\n  watch: false\n'
            f'  admin: ["{ADMIN}:0", "unix:{self.admin_socket}"]\n'
        )
        text = re.sub(r"^  (?:admin|listen): .*\n", "", configuration, flags=re.MULTILINE)
        assert text.count("server:\n") == 1
        self.text = text.replace("server:\n", addresses)
        self.write(self.text)

    def mint(self, **claims: Any) -> str:
        """Print a token by the command that the page tells the reader to use."""
        finished = command("token", "-c", str(self.config), json.dumps(claims))
        assert finished.code == 0, finished
        return finished.out.strip()

    def edit(self, old: str, new: str) -> None:
        """Save a change of the file, and wait until every session has been judged."""
        assert self.text.count(old) == 1
        self.write(self.text.replace(old, new))
        self.reload()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing: the browser's requests are not what a failed test is about."""


@contextmanager
def served(directory: Path) -> Iterator[int]:
    """Serve a directory over HTTP, as `python3 -m http.server` does, and yield the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def browser(daemon: Documented, page_port: int, *more: str) -> AsyncIterator[BrowserContext]:
    """Open a browser to which the test's ports are those of the documentation."""
    addresses = [f"MAP 127.0.0.1:8000 127.0.0.1:{daemon.chosen}", f"MAP localhost:3000 127.0.0.1:{page_port}"]
    rules = ", ".join([*addresses, *more])
    async with async_playwright() as playwright:
        # No sandbox: the tests may run as root, and the page is ours.
        chromium = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", f"--host-resolver-rules={rules}"],
        )
        yield await chromium.new_context()
        await chromium.close()


class Window:
    """A window with the first page, as a reader uses it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    @classmethod
    async def open(cls, context: BrowserContext) -> Window:
        window = cls(await context.new_page())
        await window.page.goto("http://localhost:3000/page.html")
        return window

    async def submit(self, form: str, text: str) -> None:
        await self.page.locator(f"#{form} input").fill(text)
        await self.page.locator(f"#{form} button").click()

    async def sees(self, text: str, times: int = 1) -> None:
        """Expect so many lines with this text in the page's log."""
        await expect(self.page.locator("#log li").get_by_text(text, exact=True)).to_have_count(times)


@pytest.fixture
def first_page(tmp_path: Path) -> Iterator[tuple[Documented, int]]:
    """The daemon of "Your first file", and the port at which "Your first page" is served."""
    site = tmp_path / "site"
    site.mkdir()
    shutil.copy(LIBRARY, site)
    (site / "page.html").write_text(block(page("start/first-page.md"), "html"))
    configuration = block(page("start/first-file.md"), "yaml")
    with served(site) as port, Documented(tmp_path, configuration) as daemon:
        yield daemon, port


async def test_the_first_page_does_what_it_says(first_page: tuple[Documented, int]) -> None:
    daemon, port = first_page
    async with browser(daemon, port) as context:
        ann, bob = await Window.open(context), await Window.open(context)
        await ann.submit("connect", daemon.mint(sub="ann", scope="chat", projects=["apollo"]))
        await bob.submit("connect", daemon.mint(sub="bob", scope="chat", projects=["zeus"]))
        await ann.submit("join", "project:apollo")
        await ann.sees("in project:apollo")
        await bob.submit("join", "project:apollo")
        await bob.sees("refused to join project:apollo: rule_denied (not allowed)")

        await bob.submit("connect", daemon.mint(sub="bob", scope="chat", projects=["zeus", "apollo"]))
        await bob.sees("connected", times=2)
        await bob.submit("join", "project:apollo")
        await bob.sees("in project:apollo")
        await ann.submit("publish", "hello")
        await ann.sees("you: hello")
        await bob.sees("ann in project:apollo: hello")

        daemon.stop()
        await ann.sees("the session ends: unavailable")
        await ann.sees("disconnected: transport close")
        daemon.start()
        await ann.sees("in project:apollo", times=2)
        await bob.sees("in project:apollo", times=2)
        await bob.submit("publish", "here again")
        await ann.sees("bob in project:apollo: here again")

        daemon.edit("{scope: chat}", "{scope: chats}")
        for window in (ann, bob):
            await window.sees("the session ends: policy_changed")
            await window.sees("disconnected: io server disconnect")
        await ann.submit("connect", daemon.mint(sub="ann", scope="chat"))
        await ann.sees("refused to connect: scope_missing (the token lacks a scope)")
        assert ann.errors == bob.errors == []


async def test_a_page_of_another_origin_is_told_nothing_but_in_the_console(
    first_page: tuple[Documented, int],
) -> None:
    daemon, port = first_page
    complaints: list[str] = []
    async with browser(daemon, port, f"MAP 127.0.0.1:3000 127.0.0.1:{port}") as context:
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto("http://127.0.0.1:3000/page.html")
        await Window(page).submit("connect", daemon.mint(sub="ann", scope="chat"))
        await expect(page.locator("#log li").first).to_have_text("not connected: xhr poll error")
    assert any("blocked by CORS policy" in complaint for complaint in complaints), complaints


# --- the complete page ------------------------------------------------------------------------------------------


class Site:
    """`site.py` of the documentation: serves the page, and hands out tokens that last so many seconds."""

    def __init__(self, directory: Path, lifetime: int) -> None:
        self.directory = directory
        self.lifetime = lifetime
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers; it finds `compartmentd` beside the interpreter of the tests."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.process = subprocess.Popen(
            [sys.executable, "site.py", str(self.port), str(self.lifetime)],
            cwd=self.directory,
            env={**os.environ, "PATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + seconds(30)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=seconds(5)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "site.py does not listen"
                assert self.process.poll() is None, "site.py has ended"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def complete_page(directory: Path, lifetime: int) -> Iterator[tuple[Documented, Site]]:
    """The daemon of "Your first file", and the complete page with its site."""
    text = page("clients/complete-page.md")
    shutil.copy(LIBRARY, directory)
    (directory / "page.html").write_text(block(text, "html"))
    (directory / "site.py").write_text(block(text, "python"))
    site = Site(directory, lifetime)
    with Documented(directory, block(page("start/first-file.md"), "yaml")) as daemon:
        site.start()
        try:
            yield daemon, site
        finally:
            site.stop()


async def in_room(window: Window) -> None:
    await expect(window.page.locator("#state")).to_have_text("connected")
    await expect(window.page.locator("#rooms")).to_have_text("project:apollo")


async def test_the_complete_page_comes_back_and_joins_again(tmp_path: Path) -> None:
    with complete_page(tmp_path, lifetime=3600) as (daemon, site):
        async with browser(daemon, site.port) as context:
            ann = await Window.open(context)
            await expect(ann.page.locator("#state")).to_have_text("connected")
            await ann.submit("join", "project:zeus")
            await ann.sees("refused to join project:zeus: rule_denied (not allowed)")
            await ann.submit("join", "project:apollo")
            await in_room(ann)

            daemon.stop()
            await expect(ann.page.locator("#state")).to_have_text(re.compile("trying again"))
            await expect(ann.page.locator("#rooms")).to_have_text("none")
            daemon.start()
            await in_room(ann)
            await ann.submit("publish", "hello")
            await ann.sees("you: hello")

            daemon.edit('contains: "{project}"', 'contains: "{project}-x"')
            await ann.sees("put out of project:apollo: policy_changed")
            await expect(ann.page.locator("#state")).to_have_text("connected")
            await expect(ann.page.locator("#rooms")).to_have_text("none")

            daemon.edit("{scope: chat}", "{scope: chats}")
            await expect(ann.page.locator("#state")).to_have_text("ended: policy_changed")
            assert daemon.status()["connections"] == 0, "it does not try again"
            assert ann.errors == []


async def test_the_complete_page_renews_its_token_and_comes_back_when_it_could_not(tmp_path: Path) -> None:
    with complete_page(tmp_path, lifetime=8) as (daemon, site):
        async with browser(daemon, site.port) as context:
            ann = await Window.open(context)
            await ann.submit("join", "project:apollo")
            await in_room(ann)
            # Twice, so that a session has outlived the token that opened it; the connection stays the same.
            await expect(ann.page.locator("#log li").get_by_text("token renewed").nth(2)).to_be_visible()
            assert await ann.page.locator("#state").text_content() == "connected"

            site.stop()
            await expect(ann.page.locator("#state")).to_have_text(re.compile("connecting again in"))
            site.start()
            await in_room(ann)
            assert ann.errors == []


# --- the client in Python ---------------------------------------------------------------------------------------


def test_the_python_client_does_what_it_says(tmp_path: Path) -> None:
    script = tmp_path / "client.py"
    script.write_text(block(page("clients/other-languages.md"), "python"))
    with Documented(tmp_path, block(page("start/first-file.md"), "yaml")) as daemon:

        def start(**claims: Any) -> subprocess.Popen[str]:
            token = daemon.mint(scope="chat", **claims)
            environment = {
                **os.environ,
                "TOKEN": token,
                "COMPARTMENTD_URL": daemon.url,
                "PYTHONUNBUFFERED": "1",
            }
            return subprocess.Popen(
                [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
            )

        with start(sub="ann", projects=["apollo"]) as ann, start(sub="bob", projects=["zeus"]) as bob:
            assert ann.stdout is not None
            assert bob.stdout is not None
            try:
                assert ann.stdout.readline() == "published: True\n"
                assert bob.stdout.readline() == "refused: rule_denied\n"
                with start(sub="kim", projects=["apollo"]) as kim:
                    assert ann.stdout.readline() == "kim in project:apollo says hello\n"
                    kim.kill()
                daemon.edit("{scope: chat}", "{scope: chats}")
                for client in (ann, bob):
                    assert client.stdout is not None
                    assert client.stdout.readline() == "the session ends: policy_changed\n"
            finally:
                ann.kill()
                bob.kill()
