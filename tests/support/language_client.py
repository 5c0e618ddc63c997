"""A client of the Language Server Protocol over stdio: JSON-RPC by hand, so that no server shares code with it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Self

PATIENCE = 30.0
"""Seconds that an answer may take on a busy machine."""


class LanguageClient:
    """A language server in a process of its own, and what an editor says to it."""

    def __init__(
        self,
        command: Sequence[str],
        root: Path,
        *,
        settings: Any = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self.settings = {} if settings is None else settings
        self.problems: dict[str, list[dict[str, Any]]] = {}
        self.registered: set[str] = set()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=root,
            env=os.environ | dict(env or {}),
        )
        self._ids = count(1)
        self._versions = count(1)
        self._inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._errors = b""
        self._threads = (
            threading.Thread(target=self._read_messages, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        )
        for thread in self._threads:
            thread.start()
        self.capabilities: dict[str, Any] = {}
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        self.capabilities = self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": self.root.as_uri(),
                "workspaceFolders": [{"uri": self.root.as_uri(), "name": "root"}],
                "capabilities": {
                    "workspace": {
                        "configuration": True,
                        "workspaceFolders": True,
                        "didChangeWatchedFiles": {"dynamicRegistration": True},
                    },
                    "textDocument": {
                        "completion": {"completionItem": {"documentationFormat": ["markdown"]}},
                        "hover": {"contentFormat": ["markdown"]},
                        "publishDiagnostics": {"versionSupport": True},
                    },
                },
            },
        )["capabilities"]
        self.notify("initialized", {})
        self.notify("workspace/didChangeConfiguration", {"settings": self.settings})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> int:
        """End the server as an editor does; return its exit code."""
        if self._process.poll() is None:
            try:
                self.request("shutdown", None)
                self.notify("exit", None)
                self._process.wait(PATIENCE)
            except (OSError, AssertionError, queue.Empty, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait()
        for thread in self._threads:
            thread.join(PATIENCE)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        return self._process.returncode

    # --- what an editor says --------------------------------------------------------------------------------

    def open(self, path: Path, text: str | None = None) -> str:
        """Open a file, with a text of its own if it is given; return its URI."""
        uri = path.as_uri()
        document = {
            "uri": uri,
            "languageId": "yaml",
            "version": next(self._versions),
            "text": path.read_text() if text is None else text,
        }
        self.notify("textDocument/didOpen", {"textDocument": document})
        return uri

    def change(self, uri: str, text: str) -> None:
        """Replace the text of an open file."""
        document = {"uri": uri, "version": next(self._versions)}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})

    def ask(self, what: str, uri: str, line: int, character: int, **more: Any) -> Any:
        """Ask `completion`, `hover`, … about a position; lines and UTF-16 units count from 0."""
        position = {"line": line, "character": character}
        return self.request(
            f"textDocument/{what}", {"textDocument": {"uri": uri}, "position": position, **more}
        )

    def complete(self, uri: str, line: int, character: int) -> dict[str, dict[str, Any]]:
        """Return the items that are offered at a position, by label."""
        answer = self.ask("completion", uri, line, character)
        items = answer["items"] if isinstance(answer, dict) else answer or []
        return {item["label"]: item for item in items}

    def wait_for_problems(self, uri: str) -> list[dict[str, Any]]:
        """Wait for the next diagnostics of a file, and return them."""
        self.problems.pop(uri, None)
        while uri not in self.problems:
            self._take()
        return self.problems[uri]

    def wait_for_codes(self, uri: str, *codes: str) -> list[dict[str, Any]]:
        """Wait until a file has problems with just these codes, and return them."""
        while (problems := self.problems.get(uri)) is None or [each.get("code") for each in problems] != [
            *codes
        ]:
            self._take()
        return problems

    # --- JSON-RPC -------------------------------------------------------------------------------------------

    def request(self, method: str, params: Any) -> Any:
        """Send a request, and return its result; what the server asks meanwhile is answered."""
        number = next(self._ids)
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._take()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        stream = self._process.stdin
        assert stream is not None
        stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        stream.flush()

    def _take(self) -> dict[str, Any]:
        message = self._inbox.get(timeout=PATIENCE)
        if message is None:
            self._inbox.put(None)  # for the next that waits
            raise AssertionError(f"the server has ended: {self._errors.decode()}")
        match message.get("method"):
            case "textDocument/publishDiagnostics":
                params = message["params"]
                self.problems[params["uri"]] = params["diagnostics"]
            case "workspace/configuration":
                items = message["params"]["items"]
                self._send({"id": message["id"], "result": [self._find_setting(item) for item in items]})
            case "client/registerCapability":
                self.registered |= {each["method"] for each in message["params"]["registrations"]}
                self._send({"id": message["id"], "result": None})
            case str() if "id" in message:
                self._send({"id": message["id"], "result": None})
        return message

    def _find_setting(self, item: Mapping[str, Any]) -> Any:
        return self.settings.get(item.get("section", ""))

    def _read_messages(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while header := stream.readline():
            length = 0
            while header.strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                header = stream.readline()
            self._inbox.put(json.loads(stream.read(length)))
        self._inbox.put(None)

    def _read_errors(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        while part := stream.read1():
            self._errors += part
