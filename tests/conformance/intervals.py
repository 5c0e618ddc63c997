"""What the official suites expect a server to be configured with, in milliseconds."""

from __future__ import annotations

PING_INTERVAL = 300
PING_TIMEOUT = 200
CONNECT_TIMEOUT = 1000
