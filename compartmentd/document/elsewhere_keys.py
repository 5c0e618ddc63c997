"""The words of other systems for keys: for each mapping of ours rows of words, with spaces between them.

A row is the key here that the words stand for, or `None`, and the help. In a help `{value}`, `{list}` and `{one}`
are replaced by the value that is written, as a list, or by its first item; `{several}` by what to do with more. A
word is found in any spelling: `maxPayload`, `max_payload` and `max-payload` are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Rows: TypeAlias = Mapping[str, tuple[str | None, str]]

_RULE_PLACE = (
    "write the rule under `{key}`, as in `{key}: authenticated` or `{key}: {{claim: roles, contains: staff}}`"
)
_ROLE_PLACE = (
    "write `{key}: {{claim: role, equals: {{one}}}}`; where tokens list roles, "
    "`{key}: {{claim: roles, contains: {{one}}}}`{{several}}"
)
_ROLES_PLACE = "write `{key}: {{claim: roles, contains: {{one}}}}`{{several}}"
_RULES_WORDS = (
    "auth authorize authorization rule rules acl policy policies access middleware guard require if when use"
)


def _say(text: str, key: str) -> tuple[str | None, str]:
    return key, text.format(key=key)


_ROOM: Rows = {
    f"{_RULES_WORDS} allow subscribe subscribers read view who enter": _say(_RULE_PLACE, "join"),
    "role": _say(_ROLE_PLACE, "join"),
    "roles groups group permissions": _say(_ROLES_PLACE, "join"),
    "allow_subscribe_for_client": ("join", "write `join: authenticated`, or a condition"),
    "allow_subscribe_for_anonymous allow_anonymous anonymous": (
        "join",
        "write `join: public` if that is meant",
    ),
    "private protected": ("join", "every room is closed but for its rule: write `join` with a condition"),
    "deny forbid": (
        "join",
        "write `join: {not: RULE}`, better `join` with what is needed: all else is refused",
    ),
    "write send broadcast emit pub publishers": _say(_RULE_PLACE, "publish"),
    "allow_publish_for_subscriber publish_for_subscriber": ("publish", "write `publish: members`"),
    "allow_publish_for_client": ("publish", "write `publish: members`: who publishes to a room is in it"),
    "max max_members max_clients max_users max_size limit size": ("capacity", "write `capacity: {value}`"),
    "message messages event types": ("events", "write `events: {list}`, a list of the names"),
    "schema validate validation": (
        "events",
        "a schema belongs to an event: `events: {message: {schema: FILE}}`",
    ),
    "pattern regex constraints where": ("params", 'write `params: {NAME: {pattern: "[a-z0-9-]{1,40}"}}`'),
    "subscribe_on_connect default user_subscribe_to_personal": (
        "auto_join",
        "write `auto_join: {PARAMETER: CLAIM}`, or `auto_join: true` without parameters",
    ),
    "self include_sender echo_messages": ("echo", "write `echo: true`"),
    "history_size history_ttl history_lifetime force_recovery recover ttl": (
        None,
        "`history` is not built yet",
    ),
    "join_leave presence_stats member_events": (None, "`presence` is not built yet"),
}

_NAMESPACE: Rows = {
    f"{_RULES_WORDS} allow join who": _say(_RULE_PLACE, "connect"),
    "role": _say(_ROLE_PLACE, "connect"),
    "roles groups group permissions": _say(_ROLES_PLACE, "connect"),
    "allow_anonymous anonymous": ("connect", "write `connect: public` if that is meant"),
    "private protected": (
        "connect",
        "every namespace is closed but for its rule: write `connect` with a condition",
    ),
    "channel channels topic topics room": (
        "rooms",
        'write `rooms: {"project:{project}": {join: RULE}}`',
    ),
    "write send broadcast emit pub": _say(_RULE_PLACE, "publish"),
    "message messages event types": ("events", "write `events: {list}`, a list of the names"),
    "issuer providers provider realm idp": (
        "issuers",
        "write `issuers: {list}`, names of entries under `issuers`",
    ),
    "connection_state_recovery session_recovery": (None, "`recovery` is not built yet"),
}

_ISSUER: Rows = {
    "iss authority domain issuer_url issuer_uri url provider_url realm_url base_url host": (
        "issuer",
        "write `issuer: https://...`, exactly as the tokens' `iss` has it",
    ),
    "aud audiences client_id client resource api_identifier": (
        "audience",
        "write `audience: ...`, as the access tokens' `aud` has it; that is mostly not the client's id",
    ),
    "jwks jwks_uri jwks_endpoint keys_url keys certs_url jwk_url certs": (
        "jwks_url",
        "write `jwks_url: https://...`; without a key source they are found by discovery at `issuer`",
    ),
    "well_known openid_configuration discovery_url metadata_url oidc": (
        "discovery",
        "write `discovery: https://...`, what stands before `/.well-known/openid-configuration`",
    ),
    "secret hmac hmac_secret hmac_secret_key token_hmac_secret_key shared_secret jwt_secret secret_key key"
    " password": (
        "secret_env",
        "a secret never stands in this file: write `secret_file: FILE`, or `secret_env: VARIABLE`",
    ),
    "public_key rsa_public_key token_rsa_public_key ecdsa_public_key pem certificate cert signing_key": (
        "public_key_file",
        "write `public_key_file: FILE`, a PEM file",
    ),
    "alg algorithm signing_algorithm token_algorithm": ("algorithms", "write `algorithms: {list}`"),
    "clock_skew clock_tolerance skew tolerance grace": ("leeway", "write `leeway: 30s`"),
    "max_token_age ttl expires lifetime token_lifetime": ("max_age", "write `max_age: 24h`"),
    "type provider vendor kind idp": (
        "preset",
        "write `preset: keycloak`, or another of those that are known",
    ),
    "scope scope_claim scopes_claim permissions_claim": (
        "scopes",
        "write `scopes: [scope]`, the claims that list scopes",
    ),
    "user_claim username_claim user_id_claim id_claim sub subject_claim user_id name_claim principal_claim": (
        "subject",
        "write `subject: CLAIM`; the default is `sub`",
    ),
    "roles role_claim roles_claim groups_claim": (
        None,
        "roles need no setting: rules read them, as in `{claim: roles, contains: staff}`",
    ),
    "ca tls_ca ca_cert ca_bundle root_ca": ("ca_file", "write `ca_file: FILE`, a PEM file"),
    "verify validate_issuer validate_audience required_claims claims_required": (
        "require",
        "issuer, audience and time are always verified; `require: {CLAIM: VALUE}` asks for more",
    ),
    "insecure skip_verify insecure_skip_verify ignore_tls": (
        "allow_http",
        "certificates are always verified; `ca_file` names a CA of one's own",
    ),
}

_PARAM: Rows = {
    "regex regexp match matches": (
        "pattern",
        'write `pattern: "[a-z0-9-]{1,40}"`: literals and classes, no groups',
    ),
    "enum values options choices in any_of": ("one_of", "write `one_of: {list}`"),
    "int number numeric digits": ("integer", "write `integer: {min: 1}`"),
    "type format": (
        None,
        "write `integer: {}` for whole numbers, `pattern` or `one_of` for text; text needs nothing",
    ),
    "min max minimum maximum range": ("integer", "write `integer: {min: 1, max: 99}`"),
    "length max_length min_length": ("pattern", 'write `pattern: "[a-z0-9-]{1,40}"`'),
    "required optional default": (None, "a parameter is always there: it is a part of the room's name"),
}

_EVENT: Rows = {
    "validate validation json_schema data payload body": (
        "schema",
        "write `schema: FILE`, a JSON Schema of the data",
    ),
    "allow auth role roles rule join send": (
        "publish",
        "write `publish: RULE`, needed beside the place's own",
    ),
    "drop lossy ephemeral transient": ("volatile", "write `volatile: true`"),
    "hook webhook moderate": (None, "`before` is not built yet"),
    "rate limit limits": (
        None,
        "rates stand in `limits` of the room or namespace: `limits: {message_rate: 10/s}`",
    ),
}

_LIMITS: Rows = {
    "rate messages_per_second msgs_per_sec events_per_second rate_limit max_rate": (
        "message_rate",
        "write `message_rate: {one}/s`",
    ),
    "max_message_size max_payload payload_size max_http_buffer_size max_size client_max_body_size": (
        "message_size",
        "write `message_size: 64KiB`",
    ),
    "bandwidth bytes_per_second": ("byte_rate", "write `byte_rate: 262144/s`"),
    "max_rooms rooms max_channels client_channel_limit": (
        "rooms_per_session",
        "write `rooms_per_session: {one}`",
    ),
    "max_sessions sessions client_user_connection_limit connections_per_user": (
        "sessions_per_user",
        "write `sessions_per_user: {one}`",
    ),
    "max_connections connections connections_per_ip max_clients": (
        None,
        "connections are limited in `server`: `connections`, `connections_per_address`",
    ),
    "burst": (None, "a rate allows as many at once as in one second"),
}

_ROOM_LIMITS: Rows = {
    **{
        words: row
        for words, row in _LIMITS.items()
        if row[0] not in ("rooms_per_session", "sessions_per_user")
    },
    "max_rooms rooms max_channels client_channel_limit": (
        None,
        "the rooms of a session are counted in the namespace, as in `limits: {rooms_per_session: 50}`",
    ),
    "max_sessions sessions client_user_connection_limit connections_per_user": (
        None,
        "sessions are counted in the namespace, as in `limits: {sessions_per_user: 20}`; a room has `capacity`",
    ),
}

_TOP: Rows = {
    "rooms room channels channel topics topic": (
        None,
        'rooms stand in a namespace: `namespaces: {/: {connect: authenticated, rooms: {"p:{p}": {join: RULE}}}}`',
    ),
    "roles role groups acl permissions policies policy authorization": (
        "rules",
        "write named rules: `rules: {staff: {claim: roles, contains: staff}}`, used as `{rule: staff}`",
    ),
    "use middleware middlewares io": (
        None,
        "no code runs here: who may connect is the namespace's `connect`, as in `connect: authenticated`",
    ),
    "users user accounts passwords": (
        None,
        "users are the subjects of tokens: `issuers` says whose tokens count",
    ),
    "engine adapter redis broker nats cluster": (None, "several processes (`backplane`) are not built yet"),
    "proxy webhooks webhook rpc": (None, "services that are asked or told (`hooks`) are not built yet"),
    "includes imports import": ("include", 'write `include: ["namespaces/*.yaml"]`'),
    "schemas events": (None, "events stand in a namespace or room: `events: {message: {schema: FILE}}`"),
    "name title description id": (None, "the file has no name; `description` stands in namespaces and rooms"),
    "plugins extensions": (None, "there are none"),
}

_SERVER: Rows = {
    "max_connections worker_connections max_clients": ("connections", "write `connections: {one}`"),
    "max_connections_per_ip connections_per_ip limit_conn": (
        "connections_per_address",
        "write `connections_per_address: {one}`",
    ),
    "admin_port admin_address metrics metrics_port prometheus health_port internal_port": (
        "admin",
        'write `admin: ["127.0.0.1:8001"]`',
    ),
    "admin_password admin_secret admin_token api_key": (
        "admin_access",
        "write `admin_access: RULE`, for tokens of an entry with `use: [admin]`",
    ),
    "prefix base_path endpoint resource": ("path", "write `path: /socket.io/`"),
    "workers processes threads": (None, "one process serves one core; run more behind a proxy"),
    "connection_state_recovery": (None, "`recovery` is not built yet"),
    "shutdown_timeout grace_period graceful_shutdown": ("drain", "write `drain: 30s`"),
    "socket unix_socket": ("listen", 'write `listen: ["unix:/run/compartmentd/public.sock"]`'),
    "data_dir storage state_dir": ("state", "write `state: /var/lib/compartmentd`"),
    "token_query query_token": ("token_from", 'write `token_from: [auth, header, "query:token"]`'),
}

_LISTEN = 'write `server: {listen: ["127.0.0.1:{value}"]}`'
_HOST = 'write host and port in one: `server: {listen: ["{value}:8000"]}`'

KEYS: Mapping[str, Rows] = {
    "top": _TOP, "included": _TOP, "server": _SERVER, "issuer": _ISSUER, "namespace": _NAMESPACE, "room": _ROOM,
    "event": _EVENT, "param": _PARAM, "limits": _LIMITS, "room_limits": _ROOM_LIMITS,
}  # fmt: skip
"""By the name of the mapping in the schema."""

ANYWHERE: Rows = {
    "cors allow_origin allow_origins allowed_origin allowed_origins cors_origin cors_origins cors_allowed_origins"
    " access_control_allow_origin origin": ("origins", "write `server: {origins: {list}}`"),
    "port http_port": ("listen", _LISTEN),
    "host hostname bind bind_address address addr interface": ("listen", _HOST),
    "ssl https tls_cert ssl_certificate ssl_cert tls_key certificate": (
        "tls",
        "write `server: {tls: {cert: FILE, key: FILE}}`",
    ),
    "max_payload max_http_buffer_size max_message_size client_max_body_size": (
        "message_size",
        "write `limits: {message_size: 64KiB}`",
    ),
    "trust_proxy real_ip set_real_ip_from proxies proxy_headers x_forwarded_for use_forwarded_headers"
    " real_ip_header": (
        "trusted_proxies",
        'write `server: {trusted_proxies: ["127.0.0.1"]}`, the addresses of your proxies',
    ),
    "jwt jwks oidc oauth oauth2 authentication tokens auth keycloak identity": (
        "issuers",
        'write `issuers: {corp: {issuer: "https://...", audience: ...}}`: whose tokens count',
    ),
    "secret hmac_secret_key token_hmac_secret_key jwt_secret": (
        "issuers",
        "write it in an entry: `issuers: {corp: {issuer: ..., audience: ..., secret_env: VARIABLE}}`",
    ),
    "allow_eio3": (None, "clients of Engine.IO 3 (Socket.IO 2) are not served"),
    "per_message_deflate http_compression compression": (None, "messages are not compressed"),
    "upgrade_timeout": (
        None,
        "`connect_timeout` in `server` bounds how long a connection is without a session",
    ),
    "heartbeat heartbeat_interval ping heartbeat_delay": (
        "ping_interval",
        "write `server: {ping_interval: 25s}`",
    ),
    "heartbeat_timeout pong_timeout disconnect_delay": (
        "ping_timeout",
        "write `server: {ping_timeout: 20s}`",
    ),
    "cookie cookies": (
        "token_from",
        'write `server: {token_from: [auth, "cookie:NAME"]}` to take tokens from one',
    ),
    "log_level logging debug verbose": (
        "log",
        "write `log: {decisions: all}` to log permissions, too",
    ),
    "timeout": (
        None,
        "write `server: {connect_timeout: 10s}`, or `ping_timeout`, `header_timeout`, `body_timeout`",
    ),
}
"""Words that stand for the same key wherever they stand."""
