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
from typing import Any, Literal

import pytest
from playwright.async_api import async_playwright

from tests.support.timing import seconds

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
async def test_a_browser_asks_nobody_else_and_gets_everything(
    address: str, scheme: Literal["light", "dark"]
) -> None:
    asked: list[str] = []
    complaints: list[str] = []

    async with async_playwright() as playwright:
        # No sandbox: the tests may run as root, and the page is ours.
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = await browser.new_page(color_scheme=scheme)
        page.set_default_timeout(seconds(30) * 1000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{address}/index.html", wait_until="networkidle")
        # The search listens to keys.
        await page.get_by_role("textbox", name="Search").press_sequentially("rooms")
        await page.locator(".md-search-result__item").first.wait_for(state="attached")
        background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        await browser.close()
    assert asked
    assert [url for url in asked if not url.startswith(address)] == []
    assert complaints == []
    level = sum(int(part) for part in re.findall(r"\d+", background)[:3])
    assert (level > 3 * 128) is (scheme == "light"), background
