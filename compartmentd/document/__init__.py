"""Text to checked documents: bytes -> Source -> YAML with positions -> JSON Schema problems. Pure."""
