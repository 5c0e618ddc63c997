"""Reads the key sources of an issuer entry: public keys, a secret beside or instead of them, else discovery."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

from compartmentd.configuration.compiler.files_used import FilesUsed, describe_os_error, resolve_path
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.uncertain import may_contain
from compartmentd.document.node import Node
from compartmentd.tokens.entry import REMOTE, KeyKind, KeySource
from compartmentd.tokens.presets import Preset
from compartmentd.tokens.remote import WELL_KNOWN, check_url

KeyFile: TypeAlias = Literal["jwks_file", "public_key_file", "secret_file"]
KeyUrl: TypeAlias = Literal["discovery", "jwks_url"]

_PUBLIC_FILES: Sequence[KeyFile] = ("jwks_file", "public_key_file")
_URLS: Sequence[KeyUrl] = ("discovery", "jwks_url")
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"

_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_ALL: Sequence[KeyKind] = (*_PUBLIC_FILES, *_URLS, "secret_file", "secret_env")


class KeySources:
    """Reads the key sources of entries."""

    def __init__(self, files: FilesUsed, report: Report, *, serving: bool) -> None:
        self.files = files
        self.report = report
        self.serving = serving

    def read(self, node: Node, preset: Preset) -> tuple[KeySource, ...] | None:
        """Return the key sources of an entry, public ones first; `None` if a mistake leaves them undecided."""
        found: list[KeySource | None] = []
        for kind in _PUBLIC_FILES:
            found += self._from_files(kind, node)
        for url_kind in _URLS:
            url = node.get(url_kind)
            if url is not None:
                found.append(self._from_url(url_kind, url, url.data, node))
        found += self._from_files("secret_file", node)
        variable = node.get("secret_env")
        if variable is not None:
            found.append(self._from_variable(variable))
        if not found:
            if self.is_unclear(node):
                return None
            found.append(self._choose_default(node, preset))
        sources = tuple(source for source in found if source is not None)
        return sources if len(sources) == len(found) else None

    def is_unclear(self, node: Node) -> bool:
        """Return whether a key of the entry that could not be read may have been a key source."""
        return any(may_contain(node, kind, "issuer") for kind in _ALL)

    def read_ca_file(self, node: Node, sources: tuple[KeySource, ...]) -> str | None:
        """Return the path of an entry's `ca_file`, and report one that cannot be used."""
        written = node.get("ca_file")
        if written is None:
            return None
        path = resolve_path(written.file, written.data)
        if sources[0].kind not in REMOTE:
            message = f"`ca_file` is for keys that are fetched, and these come from `{sources[0].kind}`"
            self.report.error(written.span, "issuer.ca-file", message, "leave `ca_file` out")
            return path
        self.files.record_use("ca_file", path, written.span)
        try:
            content = self.files.access.read(path)
        except OSError as error:
            self.files.record_missing(path)
            message = f"`ca_file` `{path}`: {describe_os_error(error)}"
            help_ = "paths are relative to the file that names them; serving needs the file"
            self._report_unavailable(written, "file.unreadable", message, help_)
            return path
        if _CERTIFICATE not in content:
            message = f"`{path}` holds no certificate in PEM form"
            help_ = "write the authority's certificate there, which begins `-----BEGIN CERTIFICATE-----`"
            self.report.error(written.span, "issuer.ca-file", message, help_)
        return path

    def _choose_default(self, node: Node, preset: Preset) -> KeySource | None:
        issuer = node.get("issuer")
        if issuer is None:
            return None
        if preset.jwks_url is not None:
            return KeySource("jwks_url", preset.jwks_url, node.fields["preset"].span)
        return self._from_url("discovery", issuer, preset.get_discovery_base(issuer.data), node)

    def _from_url(self, kind: KeyUrl, written: Node, url: str, entry: Node) -> KeySource | None:
        allow_http = entry.get("allow_http")
        refused = check_url(url, allow_http=allow_http is not None and allow_http.data)
        if kind == "discovery" and url.removesuffix("/").endswith(WELL_KNOWN):
            base = url.removesuffix("/").removesuffix(WELL_KNOWN)
            message = f"`{WELL_KNOWN}` is added to the address by itself"
            self.report.error(written.span, "issuer.url", message, f"write `{base}`")
            return None
        if refused is None:
            return KeySource(kind, url, written.span)
        if written is entry.get("issuer"):
            message = f"discovery is to find the keys at `issuer`, which {refused}"
            help_ = "write an `https://` URL, or give the entry another key source, such as `jwks_file`"
        else:
            message = f"`{kind}` {refused}"
            help_ = "`allow_http: true` takes the risk, for an entry whose keys come over a network you trust"
        self.report.error(written.span, "issuer.url", message, help_)
        return None

    def _from_variable(self, node: Node) -> KeySource:
        if self.files.access.getenv(node.data) is None:
            help_ = "its tokens are refused until the variable is set; serving needs it"
            self._report_unavailable(
                node, "variable.unset", f"environment variable `{node.data}` is not set", help_
            )
        return KeySource("secret_env", node.data, node.span)

    def _from_files(self, kind: KeyFile, entry: Node) -> list[KeySource | None]:
        node = entry.get(kind)
        if node is None:
            return []
        files = (node,) if isinstance(node.data, str) else node.items
        return [self._from_file(kind, file) for file in files]

    def _from_file(self, kind: KeyFile, node: Node) -> KeySource | None:
        if node.data.startswith(("https://", "http://")):
            message = f"`{kind}` is a file, and this is a URL"
            help_ = f"write `jwks_url: {node.data}`" if kind == "jwks_file" else "write the path of a file"
            self.report.error(node.span, "issuer.url", message, help_)
            return None
        path = resolve_path(node.file, node.data)
        self.files.record_use(kind, path, node.span)
        try:
            self.files.access.read(path)
        except OSError as error:
            self.files.record_missing(path)
            self._report_unreadable(kind, node, path, error)
        else:
            if kind == "secret_file":
                self.files.check_secrecy(path, node.span, self.report)
        return KeySource(kind, path, node.span)

    def _report_unreadable(self, kind: KeyFile, node: Node, path: str, error: OSError) -> None:
        message = f"key file `{path}`: {describe_os_error(error)}"
        variable = _VARIABLE.fullmatch(node.data)
        if variable is not None:
            name = variable[1] or variable[2]
            help_ = "nothing replaces variables in this file: " + (
                f"write `secret_env: {name}`" if kind == "secret_file" else "write the path itself"
            )
            self.report.error(node.span, "file.unreadable", message, help_)
        elif isinstance(error, IsADirectoryError):
            self.report.error(node.span, "file.unreadable", message, "name the file in it")
        else:
            help_ = "paths are relative to the file that names them; serving needs the file"
            self._report_unavailable(node, "file.unreadable", message, help_)

    def _report_unavailable(self, node: Node, code: str, message: str, help_: str) -> None:
        tell = self.report.error if self.serving else self.report.note
        tell(node.span, code, message, help_)
