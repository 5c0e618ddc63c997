"""The command line's client of the daemon: HTTP over the admin Unix socket, one request a call."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from compartmentd.errors import Unreachable

TIMEOUT = 60.0
"""Seconds to wait for an answer; a reload of ten thousand templates takes several."""


class AdminClient:
    """Sends requests to the daemon that listens on the socket `path`."""

    def __init__(self, path: str, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._timeout = timeout

    def request(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        """Send one request.

        Args:
            method: The HTTP method.
            target: The path of the resource.
            body: The JSON body; `None` sends none.

        Returns:
            The HTTP status and the JSON answer.

        Raises:
            Unreachable: nothing listens on the socket, access is denied, or the answer is not from compartmentd.
        """
        connection = _UnixConnection(self._path, self._timeout)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except OSError as error:
            raise Unreachable(self._path, _explain(error)) from None
        except (http.client.HTTPException, ValueError):
            raise Unreachable(self._path, "the server there is not compartmentd") from None
        finally:
            connection.close()

    def follow(self, target: str) -> Iterator[tuple[str, Any]]:
        """Yield the server-sent events of a resource (WHATWG HTML, 9.2), each as its kind and its data.

        The iteration ends when the daemon ends the stream.

        Raises:
            Unreachable: nothing listens on the socket, access is denied, or the answer is no such stream.
        """
        connection = _UnixConnection(self._path, self._timeout)
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            if response.status != OK:
                raise Unreachable(self._path, json.loads(response.read())["error"]["message"])
            yield from _read_events(response)
        except http.client.IncompleteRead:
            return
        except OSError as error:
            raise Unreachable(self._path, _explain(error)) from None
        except (http.client.HTTPException, ValueError, LookupError, TypeError):
            raise Unreachable(self._path, "the server there is not compartmentd") from None
        finally:
            connection.close()


OK = 200


def _read_events(lines: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    """Read events; each of ours has one line of data."""
    kind = "message"
    for line in lines:
        name, _, value = line.rstrip(b"\n").partition(b": ")
        if name == b"event":
            kind = value.decode()
        elif name == b"data":
            yield kind, json.loads(value)
            kind = "message"


class _UnixConnection(http.client.HTTPConnection):
    """`http.client` over a Unix socket; the Host header is `localhost`."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _explain(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there any more"
    if isinstance(error, PermissionError):
        return "this user may not use it"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error) or "the connection broke"
