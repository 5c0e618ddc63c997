"""`python -m docs.generate`: writes every page of the reference, and the schemas for editors."""

from __future__ import annotations

from docs.generate.pages import DIRECTORY, PAGES, ROOT, SCHEMAS

if __name__ == "__main__":
    for name, write in PAGES.items():
        (DIRECTORY / name).write_text(write())
    for name, write in SCHEMAS.items():
        (ROOT / "schemas" / name).write_text(write())
