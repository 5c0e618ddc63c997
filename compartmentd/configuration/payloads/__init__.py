"""Payloads of events: validated against JSON Schemas, fast and in bounded time."""
