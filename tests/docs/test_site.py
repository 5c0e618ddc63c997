"""The documentation builds without a warning, and its pages fetch nothing from elsewhere."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Request, sync_playwright

ROOT = Path(__file__).parents[2]
ELSEWHERE = re.compile(r"^(?:https?:)?//")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does: strictly, so that a broken link or anchor fails here."""
    directory = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", directory],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert built.stderr == ""
    return directory


class Resources(HTMLParser):
    """Collects the addresses that a browser loads to show a page, not those that a person may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        names = ["src", "srcset", "data", "poster"]
        if tag == "link" and values.get("rel") not in {"canonical", "next", "prev"}:
            names.append("href")
        self.addresses += [value for name in names if (value := values.get(name))]


def test_no_page_names_a_resource_of_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert pages
    for page in pages:
        resources = Resources()
        resources.feed(page.read_text())
        assert resources.addresses, f"{page} loads its own style at least"
        assert [address for address in resources.addresses if ELSEWHERE.match(address)] == [], page


def test_no_style_names_a_resource_of_another_host(site: Path) -> None:
    styles = sorted(site.rglob("*.css"))
    assert styles
    for style in styles:
        named = re.findall(r"(?:@import|url\()\s*[\"']?([^\"')\s;]+)", style.read_text())
        assert [address for address in named if ELSEWHERE.match(address)] == [], style


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Serve the built site on a free port of loopback."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Print nothing for a request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_asks_nobody_else_and_gets_everything(address: str, scheme: Any) -> None:
    asked: list[str] = []
    said: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    with sync_playwright() as playwright:
        # No sandbox: the tests may run as root, and the page is ours.
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme)
        page.on("request", note)
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}/index.html", wait_until="networkidle")
        page.get_by_role("textbox", name="Search").press_sequentially("rooms")
        page.locator(".md-search-result__item").first.wait_for(state="attached")
        assert (
            page.evaluate("document.body.dataset.mdColorScheme")
            == {"light": "default", "dark": "slate"}[scheme]
        )
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.close()
    assert asked
    assert [url for url in asked if not url.startswith(address)] == []
    assert said == []
    level = sum(int(part) for part in re.findall(r"\d+", background)[:3])
    assert (level > 3 * 128) is (scheme == "light"), background
