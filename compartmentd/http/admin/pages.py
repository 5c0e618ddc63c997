"""The pages of the admin listeners: static files from the package, served as they are."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

from compartmentd.http.admin.base import AdminError, AdminHandler

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
INDEX = "index.html"


def find_page_files(*folders: str) -> dict[str, Traversable]:
    """Return the files of these folders of `http/pages` by name; no other file can be requested.

    Raises:
        ValueError: two folders have a file of one name.
    """
    pages = resources.files("compartmentd.http") / "pages"
    found: dict[str, Traversable] = {}
    for folder in folders:
        for file in (pages / folder).iterdir():
            if file.name.rpartition(".")[2] in TYPES:
                if file.name in found:
                    raise ValueError(f"two pages are named {file.name}")
                found[file.name] = file
    return found


def build_page_policy(public_url: str) -> str:
    """Return the Content-Security-Policy of a page that talks to this listener and to the public one.

    Scripts and styles come from our own files only, and text never becomes markup.
    """
    websocket = (
        urlsplit(public_url)._replace(scheme="wss" if public_url.startswith("https:") else "ws").geturl()
    )
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src 'self' {public_url} {websocket}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ],
    )


class PlaygroundFileHandler(AdminHandler):
    """`/playground` and its files: open, since the page can do nothing without an admin token."""

    open_to_all = True

    def get(self, name: str = INDEX) -> None:
        """Answer the file."""
        development = self.development
        file = self.site.files.get(name)
        if file is None:
            raise AdminError(404, "not_found", "there is no such page")
        self.set_header("Content-Type", TYPES[name.rpartition(".")[2]])
        if name.endswith(".html"):
            self.set_header("Content-Security-Policy", build_page_policy(development.public_url))
        self.finish(file.read_bytes())

    head = get


class FrontPageHandler(AdminHandler):
    """`/`: redirects to the playground in development."""

    open_to_all = True

    def get(self) -> None:
        """Redirect the browser."""
        _ = self.development
        self.redirect("/playground")
