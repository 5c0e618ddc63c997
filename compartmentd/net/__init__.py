"""Sockets: binding and accepting them, waiting for them, TLS, timers and addresses. Nothing here knows a policy."""
