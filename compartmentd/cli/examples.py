"""Examples of every command, for `--help`, the man page and the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXAMPLES: Mapping[str, Sequence[tuple[str, str]]] = {
    "init": (
        ("compartmentd init", "asks for a provider and rooms, and writes a first file"),
        ("compartmentd init --provider dev --yes", "a first file to try, with a key of its own"),
        (
            "compartmentd init --provider secret",
            "your own backend signs the tokens, with a secret that both know",
        ),
    ),
    "check": (
        ("compartmentd check", "the file that `serve` would take"),
        ("compartmentd check --strict --format github compartments.yaml", "in a workflow of GitHub"),
    ),
    "serve": (
        ("compartmentd serve --dev", "on this machine, with the playground"),
        ("compartmentd serve -c /etc/compartmentd/compartments.yaml", "as the unit does"),
    ),
    "reload": (("compartmentd reload", "after an edit, where `watch` is false"),),
    "status": (("compartmentd status --format json", "for a script"),),
    "sessions": (("compartmentd sessions --namespace /chat", "who is there"),),
    "tail": (("compartmentd tail --refused", "what is refused, as it happens"),),
    "rollback": (
        ("compartmentd rollback", "the configurations that were in force"),
        ("compartmentd rollback 2 --diff", "what restoring the second would change"),
    ),
    "revoke": (("compartmentd revoke corp --sub ann", "all tokens of a user"),),
    "admin-token": (("compartmentd admin-token", "for the page and for curl"),),
    "explain-token": (
        ("compartmentd explain-token < token.txt", "why a token is refused, and what it allows"),
    ),
    "token": (("""compartmentd token '{"sub": "ann"}'""", "a token of the development key"),),
    "schema": (("compartmentd schema > compartments.schema.json", "for an editor"),),
    "lsp": (("compartmentd lsp", "started by an editor"),),
    "completion": (("source <(compartmentd completion bash)", "in this shell"),),
}
"""By the command: the line, and what it is for."""

OTHER_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("validate", "lint", "verify", "configtest", "configcheck", "checkconfig"), "check"),
    **dict.fromkeys(("new", "create", "setup", "scaffold"), "init"),
    **dict.fromkeys(("start", "run", "up", "server", "daemon"), "serve"),
    **dict.fromkeys(("mint", "jwt", "sign", "gentoken"), "token"),
    **dict.fromkeys(("decode", "inspect", "debug-token", "checktoken"), "explain-token"),
    **dict.fromkeys(("logs", "log", "follow", "watch"), "tail"),
    **dict.fromkeys(("ps", "users", "who", "clients", "connections", "list"), "sessions"),
    **dict.fromkeys(("info", "health", "ping"), "status"),
    **dict.fromkeys(("undo", "history", "restore"), "rollback"),
    **dict.fromkeys(("kick", "ban", "logout", "disconnect"), "revoke"),
}
"""What other programs call our commands."""


def format_examples(command: str) -> str:
    """Return the examples of a command as text for its help."""
    lines = [f"  {line}\n      {purpose}" for line, purpose in EXAMPLES.get(command, ())]
    return "\n".join(("\b", "Examples:", *lines)) if lines else ""
