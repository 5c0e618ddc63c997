"""`python -m docs.generate`: writes every page of the reference."""

from __future__ import annotations

from docs.generate.pages import DIRECTORY, PAGES

if __name__ == "__main__":
    for name, write in PAGES.items():
        (DIRECTORY / name).write_text(write())
