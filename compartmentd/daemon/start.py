"""Reads everything that the daemon starts with, before it opens a listener."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from compartmentd.control.builder import build_first
from compartmentd.control.development import DevelopmentMode
from compartmentd.control.generation import Generation
from compartmentd.control.last_good import build_first_or_last_good
from compartmentd.daemon.systemd import Notifier
from compartmentd.errors import ConfigInvalid
from compartmentd.keys.remote import RemoteKeys
from compartmentd.net.bind import Passed
from compartmentd.problems import Problem
from compartmentd.storage.revocations import RevocationStore, open_configured_state
from compartmentd.telemetry.logs import Stamp, log
from compartmentd.util.gc_tuning import without_collections


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the daemon was started: the options of `serve`, its environment, and what the service manager passed.

    Attributes:
        path: the main file of the configuration.
        development: whether to serve the playground and mint tokens.
        last_good: whether to start on a kept configuration, where the files on disk do not check.
        environ: the environment.
        passed: the sockets of the service manager, by name.
    """

    path: str
    development: bool
    last_good: bool
    environ: Mapping[str, str]
    passed: Passed


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the daemon is built from, beside its first generation, which is freed once there is another.

    Attributes:
        options: how it was started.
        remote: the keys that are fetched; none are yet.
        state: where revocations are kept; `None` without `server.state`.
        stamp: what marks the log lines with the generation in force.
        notifier: the way to the service manager.
    """

    options: Options
    remote: RemoteKeys
    state: RevocationStore | None
    stamp: Stamp
    notifier: Notifier

    @property
    def development_mode(self) -> DevelopmentMode | None:
        """The development mode of `serve --dev`; `None` without it."""
        return make_development_mode(self.options)


def make_development_mode(options: Options) -> DevelopmentMode | None:
    """Return the development mode of `serve --dev`; `None` without it."""
    return DevelopmentMode(options.passed) if options.development else None


async def read_start(options: Options, stamp: Stamp, notifier: Notifier) -> tuple[Start, Generation]:
    """Build the first generation, and open the state directory; log the warnings.

    Raises:
        ConfigInvalid: the configuration has errors.
        UsageError: development mode would be reachable from elsewhere.
    """
    remote, development = RemoteKeys(), make_development_mode(options)
    # A large file makes a million values and no garbage, which the collector would walk again and again.
    with without_collections():
        if options.last_good:
            first, problems = await build_first_or_last_good(
                options.path, remote, development, options.environ
            )
        else:
            first, problems = await build_first(options.path, remote, development)
    state = open_configured_state(first.configuration)
    if isinstance(state, Problem):
        raise ConfigInvalid((state,))
    for problem in problems:
        if problem.severity == "warning":
            log(logging.WARNING, "problem", str(problem), code=problem.code, help=problem.help)
    return Start(options=options, remote=remote, state=state, stamp=stamp, notifier=notifier), first
