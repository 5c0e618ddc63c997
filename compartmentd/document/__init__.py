"""Reads documents: bytes -> Source -> YAML with positions -> problems found by JSON Schema. Pure."""
