"""The first generation: everything that is read, checked and built before a loop runs."""

from __future__ import annotations

import time

from compartmentd.configuration.compiler import FileAccess, Loaded, load
from compartmentd.configuration.settings import Configuration, ServerSettings
from compartmentd.configuration.snapshot import build_snapshot, keyset_of
from compartmentd.control.reload import InForce, LocalKeys, digest_of, standing_warnings
from compartmentd.errors import ConfigInvalid, UsageError
from compartmentd.keys.files import make_missing_secrets, read_material
from compartmentd.net.bind import Passed, is_loopback
from compartmentd.policy.templates.dispatch import run_to_end
from compartmentd.problems import Problem, has_errors
from compartmentd.storage.certificates import Certificate, check_validity, read_certificate
from compartmentd.storage.files import Disk


def start_up(
    path: str, *, development: bool, passed: Passed, files: FileAccess | None = None
) -> tuple[InForce, tuple[Problem, ...]]:
    """Load everything for the first generation; in development make the secrets that are missing.

    The `files` are those of the disk, unless others are given. Returns what is in force and the warnings and notes
    that came with it.

    Raises:
        ConfigInvalid: there are errors.
    """
    read_at = time.time()
    files = files or Disk()
    loaded = load(path, files, serving=False)
    if development and loaded.configuration is not None:
        require_loopback(loaded.configuration, passed)
        make_missing_secrets(loaded.configuration.issuers)
    loaded = load(path, files, serving=True)
    configuration = _usable(loaded)
    material, unreadable = read_material(configuration.issuers, development=development)
    keys, unusable = keyset_of(configuration.issuers, material)
    problems = (*loaded.problems, *unreadable, *unusable)
    if has_errors(problems):
        raise ConfigInvalid(problems)
    problems = tuple(dict.fromkeys((*problems, *standing_warnings(configuration.issuers))))
    snapshot = run_to_end(build_snapshot(configuration, loaded.digest, keys, 1))
    # What is fetched comes in once the loop runs.
    local = LocalKeys.of(keys, material)
    return InForce(
        snapshot, loaded.files, loaded.globs, local, digest_of({}), read_at, loaded.contents
    ), problems


def certificate_of(server: ServerSettings) -> tuple[Certificate | None, tuple[Problem, ...]]:
    """Read the certificate of the listeners, if they have one, with what is to be warned of.

    Raises:
        ConfigInvalid: the pair cannot be used.
    """
    if server.tls is None:
        return None, ()
    certificate = read_certificate(server.tls)
    if isinstance(certificate, Problem):
        raise ConfigInvalid((certificate,))
    return certificate, check_validity(server.tls, certificate, time.time())


def _usable(loaded: Loaded) -> Configuration:
    if loaded.configuration is None or has_errors(loaded.problems):
        raise ConfigInvalid(loaded.problems)
    return loaded.configuration


def require_loopback(configuration: Configuration, passed: Passed) -> None:
    """Refuse development mode on an address that others can reach: it mints tokens for the asking.

    Raises:
        UsageError: some listener is reachable from elsewhere.
    """
    addresses = (*configuration.server.listen, *configuration.server.admin)
    open_ones = [address for address in addresses if not is_loopback(address, passed)]
    if open_ones:
        shown = ", ".join(f"`{address}`" for address in open_ones)
        raise UsageError(
            f"`--dev` serves on loopback addresses alone, and {shown} can be reached from elsewhere"
        )
