"""The control plane: the first generation and every later one, revocations, and what administrators ask for."""
