"""Reads the main file and the files that it includes, and joins their sections."""

from __future__ import annotations

import glob
import posixpath
from typing import Literal

from compartmentd.configuration.compiler.files_used import FilesUsed, describe_os_error
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.uncertain import may_contain
from compartmentd.document import schema
from compartmentd.document.node import MERGE, Node
from compartmentd.document.source import decode
from compartmentd.document.suspicious import find_suspicious_texts
from compartmentd.document.yamldoc import ReadingBudget, parse
from compartmentd.problems import span_of_file

Section = Literal["namespaces", "rules"]


class Sections:
    """The root of the main file, and `namespaces` and `rules` of all files, by name.

    `rule_names` are the names of all rules, including refused ones. `complete` says that every file was read to
    its end, so that a name that was not found is really not declared.
    """

    def __init__(self, main: str, files: FilesUsed, report: Report) -> None:
        self.files = files
        self.report = report
        self.budget = ReadingBudget()
        self.texts: dict[str, str] = {}
        self.globs: tuple[str, ...] = ()
        self.complete = True
        self.rule_names: set[str] = set()
        self.namespaces: dict[str, Node] = {}
        self.rules: dict[str, Node] = {}
        self.root = self._read(main)
        if self.root is not None:
            self._check(self.root, None)
            self._join(self.root)
            self._read_includes(self.root)

    def _read(self, path: str) -> Node | None:
        try:
            raw = self.files.read(path)
        except OSError as error:
            self._fail(path, f"`{path}`: {describe_os_error(error)}")
            return None
        source = decode(path, raw)
        if isinstance(source, tuple):
            self.report.problems += source
            self.complete = False
            return None
        self.texts[path] = source.text
        parsed = parse(source, self.budget)
        self.report.problems += parsed.problems
        self.complete = self.complete and parsed.root is not None
        return parsed.root

    def _fail(self, path: str, message: str) -> None:
        self.report.error(span_of_file(path), "file.unreadable", message)
        self.complete = False

    def _check(self, root: Node, definition: str | None) -> None:
        self.report.problems += schema.check(root, definition)
        self.report.problems += find_suspicious_texts(root, self.texts.pop(root.file))
        doubtful = root.broken or any(may_contain(root, key, definition) for key in ("namespaces", "rules"))
        self.complete = self.complete and not doubtful

    def _join(self, root: Node) -> None:
        self._take_section(root, "namespaces", self.namespaces)
        self._take_section(root, "rules", self.rules)

    def _take_section(self, root: Node, section: Section, into: dict[str, Node]) -> None:
        node = root.fields.get(section)
        if node is None:
            return
        self.complete = self.complete and not node.has_refused(MERGE)
        for name, child in node.fields.items():
            first = into.setdefault(name, child)
            if first is not child and not child.broken:
                message = f"`{name}` is declared twice: first at {first.key_span}"
                help_ = "a name may stand once in all files"
                self.report.error(child.key_span, "include.twice", message, help_)
        if section == "rules":
            self.rule_names.update((*node.fields, *node.holes))

    # --- include --------------------------------------------------------------------------------------------

    def _read_includes(self, root: Node) -> None:
        globs = root.get("include")
        self.globs = tuple(_build_glob(root.file, item) for item in globs.items) if globs is not None else ()
        paths: dict[str, Node] = {}
        for item in globs.items if globs is not None else ():
            found = self._matches(root.file, item)
            if not found:
                self.report.warning(
                    item.span,
                    "include.nothing",
                    f"`{item.data}` matches no file",
                    "paths are relative to this file",
                )
            for path in found:
                if _is_utf8(path):
                    paths.setdefault(path, item)
                else:
                    shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                    message = f"`{item.data}` matches `{shown}`, whose name is not UTF-8"
                    self.report.error(
                        item.span, "file.unreadable", message, "rename it, or let the pattern not match it"
                    )
                    self.complete = False
        # Byte order, so that the order of problems does not depend on the file system.
        for path in sorted(paths, key=lambda path: path.encode("utf-8", "surrogateescape")):
            self.files.record_use("include", path, paths[path].span)
            self._read_included(path)

    def _matches(self, main: str, item: Node) -> list[str]:
        found = self.files.access.glob(_build_glob(main, item))
        # A pattern that begins with a dot would match dot files, which editors leave behind.
        visible = (path for path in found if not posixpath.basename(path).startswith("."))
        return [path for path in visible if posixpath.normpath(path) != posixpath.normpath(main)]

    def _read_included(self, path: str) -> None:
        root = self._read(path)
        if root is not None:
            self._check(root, "included")
            self._join(root)


def _is_utf8(path: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in path)


def _build_glob(main: str, item: Node) -> str:
    # Only the operator's text is a pattern: the directory of the file may contain brackets.
    return posixpath.join(glob.escape(posixpath.dirname(main)), item.data)
