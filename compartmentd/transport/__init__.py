"""The data plane: routes accepted sockets, and speaks Engine.IO and Socket.IO over polling and WebSocket."""
