"""The data plane: routes accepted sockets, and speaks Engine.IO and Socket.IO over polling and WebSocket.

This is the face of the server for those who build on it. An application is an object with four methods, and a peer
is one client's connection. An echo server, to be run on an event loop:

    class Echo:
        def connect(self, peer, namespace, auth):
            peer.accept(namespace, secrets.token_urlsafe(12), (peer, namespace))

        def handle_event(self, session, ack, payload, attachments):
            peer, namespace = session
            peer.send(build_event(namespace, *decode_event(payload, attachments)))

        def handle_leave(self, session): ...
        def handle_close(self, peer, sessions, reason): ...

    server = SocketServer(Echo(), ServerOptions())
    server.add_sockets([socket.create_server(("127.0.0.1", 8000))])

`build_event` and `decode_event` are of `protocol.socketio`. `Application` and `Peer` describe every method.
"""

from compartmentd.protocol.application import Application, Handshake, Peer
from compartmentd.transport.options import ServerOptions
from compartmentd.transport.server import EngineServer, SocketServer

__all__ = ["Application", "EngineServer", "Handshake", "Peer", "ServerOptions", "SocketServer"]
