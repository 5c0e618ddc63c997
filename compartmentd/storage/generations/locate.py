"""Finds the state directory, even if the configuration is broken, since that is when a rollback is needed."""

from __future__ import annotations

from collections.abc import Mapping

from compartmentd.configuration.compiler import FileAccess
from compartmentd.configuration.compiler.files_used import resolve_path
from compartmentd.document.beginning import find_scalar_before_mistake


def find_state_directory(path: str, files: FileAccess, environ: Mapping[str, str]) -> str | None:
    """Return the state directory of the configuration at `path`, or `None`.

    That is its `server.state`, whatever else is wrong with the file, if it comes before the first syntax error;
    otherwise the directory that systemd made for the service (`$STATE_DIRECTORY`, systemd.exec(5)).
    """
    try:
        text = files.read(path).decode("utf-8", "replace")
    except OSError:
        text = ""
    declared = find_scalar_before_mistake(text, ("server", "state"))
    if declared:
        return resolve_path(path, declared)
    return environ.get("STATE_DIRECTORY", "").split(":", maxsplit=1)[0] or None
