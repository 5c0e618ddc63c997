"""Sockets: binding and accepting them, waiting on them, TLS, timers and addresses. No policy."""
