"""The options of the server are those of the configuration, all of them."""

from __future__ import annotations

import msgspec

from compartmentd.configuration.settings import Configuration
from compartmentd.daemon.listeners import build_server_options
from compartmentd.transport.options import ServerOptions
from tests.support.filled import filled, unfilled_fields

WITHOUT_KEY = {".namespaces", ".upgrade_timeout"}
"""Options that no key of the configuration sets."""


def test_every_option_is_set_by_the_configuration() -> None:
    assert {f".{field.name}" for field in msgspec.structs.fields(ServerOptions)} > WITHOUT_KEY
    configuration = filled(Configuration)
    server = msgspec.structs.replace(configuration.server, token_from=("cookie:session",))
    [namespace] = configuration.policy.namespaces.values()
    limits = msgspec.structs.replace(namespace.limits, message_size=2_000_000)
    namespaces = {namespace.name: msgspec.structs.replace(namespace, limits=limits)}
    policy = msgspec.structs.replace(configuration.policy, namespaces=namespaces)
    options = build_server_options(msgspec.structs.replace(configuration, server=server, policy=policy))
    assert set(unfilled_fields(options)) == WITHOUT_KEY
