"""The options of the server are those of the configuration, all of them."""

from __future__ import annotations

import msgspec
import pytest

from compartmentd.configuration.settings import Configuration, ServerSettings
from compartmentd.daemon.listeners import build_server_options
from compartmentd.transport.options import KeptParts, ServerOptions
from tests.support.filled import filled, unfilled_fields
from tests.support.policies import policy as make_policy

WITHOUT_KEY = {".first_payload", ".limits_loopback", ".namespaces", ".upgrade_timeout"}
"""Options that no key of the configuration sets; loopback is limited where there is a limit for an address."""


def test_every_option_is_set_by_the_configuration() -> None:
    assert {f".{field.name}" for field in msgspec.structs.fields(ServerOptions)} > WITHOUT_KEY
    configuration = filled(Configuration)
    server = msgspec.structs.replace(
        configuration.server, token_from=("header", "cookie:session", "query:token")
    )
    [namespace] = configuration.policy.namespaces.values()
    limits = msgspec.structs.replace(namespace.limits, message_size=2_000_000)
    namespaces = {namespace.name: msgspec.structs.replace(namespace, limits=limits)}
    policy = msgspec.structs.replace(configuration.policy, namespaces=namespaces)
    options = build_server_options(msgspec.structs.replace(configuration, server=server, policy=policy))
    assert set(unfilled_fields(options)) == WITHOUT_KEY


@pytest.mark.parametrize(
    ("token_from", "kept"),
    [
        (("auth",), KeptParts()),
        (("auth", "header"), KeptParts(headers=("authorization",))),
        (("cookie:a", "cookie:b"), KeptParts(cookies=("a", "b"))),
        (("query:t", "auth"), KeptParts(parameters=("t",))),
    ],
)
def test_of_a_first_request_only_tokens_are_kept(token_from: tuple[str, ...], kept: KeptParts) -> None:
    found = options_of(token_from=token_from).kept
    assert found is not None
    assert msgspec.structs.replace(found, noticed=()) == kept
    assert not {each.label for each in found.noticed} & set(token_from)


def options_of(**server: object) -> ServerOptions:
    settings = ServerSettings(**server)  # type: ignore[arg-type]  # what each test writes
    return build_server_options(Configuration(server=settings, issuers=(), policy=make_policy(), files=()))


@pytest.mark.parametrize(
    ("server", "most", "limits_loopback"),
    [
        ({}, 4000, False),
        ({"connections": 100}, 25, False),
        ({"connections": 2}, 1, False),
        ({"connections": None}, None, False),
        ({"connections_per_address": 20}, 20, True),
        ({"connections_per_address": None}, None, True),
    ],
)
def test_an_address_has_a_quarter_of_the_connections(
    server: dict[str, object], most: int | None, limits_loopback: bool
) -> None:
    """Nobody chose the default, so a proxy on this machine that is not declared does not lock its clients out."""
    options = options_of(**server)
    assert (options.connections_per_address, options.limits_loopback) == (most, limits_loopback)


def test_what_has_no_session_is_bounded() -> None:
    options = options_of(pending=7, header_timeout=1.0, body_timeout=2.0)
    assert (options.pending, options.header_timeout, options.body_timeout) == (7, 1.0, 2.0)
