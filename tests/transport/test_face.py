"""The face of the package: its example runs, and it exports what an application needs."""

from __future__ import annotations

import inspect
import secrets
import socket
import textwrap
from typing import Any

from compartmentd import transport
from compartmentd.protocol.socketio import build_event, decode_event
from compartmentd.transport import SocketServer
from tests.support.wire import WebSocket, port_of

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


def example() -> str:
    """Return the code in the package's docstring."""
    documentation = inspect.getdoc(transport) or ""
    lines = documentation.splitlines()
    code = [line for line in lines[1:] if line.startswith("    ") or not line]
    return textwrap.dedent("\n".join(code))


async def test_the_echo_server_of_the_documentation_echoes() -> None:
    code = example().replace("8000", "0")
    names: dict[str, Any] = {
        **{name: getattr(transport, name) for name in transport.__all__},
        "build_event": build_event,
        "decode_event": decode_event,
        "secrets": secrets,
    }
    listening: list[socket.socket] = []

    def create_server(*arguments: Any) -> socket.socket:
        sock = socket.create_server(*arguments)
        listening.append(sock)
        return sock

    names["socket"] = type("Socket", (), {"create_server": staticmethod(create_server)})
    exec(code, names)  # noqa: S102 - the code of our own documentation
    server: SocketServer = names["server"]
    try:
        client = await WebSocket.open(port_of(listening[0]), WEBSOCKET)
        assert str(await client.event()).startswith("0{")
        client.send("40")
        assert str(await client.event()).startswith("40{")
        client.send('42["greeting",{"text":"hello"}]')
        assert await client.event() == '42["greeting",{"text":"hello"}]'
        client.close()
    finally:
        await server.close(0)
