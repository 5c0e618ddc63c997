"""Engine.IO v4, Socket.IO v5 and WebSocket framing, sans-I/O: bytes and a time in, events and bytes out."""
