"""Writes the text of a first configuration, for `init`: pure, from what the user chose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgspec

from compartmentd.policy.model import Text
from compartmentd.policy.rules.placeholders import parse_text
from compartmentd.policy.templates.pattern import PatternProblem

DEVELOPMENT = "dev"
"""The provider of whoever has none yet: tokens are signed with a throw-away key."""

OTHER = "other"
"""A provider without a preset."""

BACKEND = "secret"
"""The provider of a service whose own backend signs tokens with a secret that both know."""

MAIN = "compartments.yaml"
FOR_DEVELOPMENT = "compartments.dev.yaml"
NAMESPACES = "namespaces.yaml"
KEY = "compartments.dev-key"
BACKEND_KEY = "backend.key"
"""Where the secret of `BACKEND` is expected; the operator puts it there."""

SCHEMA = "compartmentd.schema.json"
INCLUDED_SCHEMA = "compartmentd-included.schema.json"

_COLUMN = 44
"""Where comments begin, if there is room."""


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants.

    Attributes:
        provider: `DEVELOPMENT`, `BACKEND`, `OTHER`, or the name of a preset.
        issuer: The `iss` of the provider's tokens.
        audience: Their `aud`.
        key: Whether there is a development key, too, so that it can be tried without the provider.
        namespace: The name of the namespace.
        rooms: The names of the room templates.
        origins: The origins of the pages that may connect.
    """

    provider: str
    issuer: str
    audience: str
    key: bool
    namespace: str
    rooms: Sequence[str]
    origins: Sequence[str]

    @property
    def with_provider(self) -> bool:
        """Whether the tokens come from a provider."""
        return self.provider != DEVELOPMENT


def write_files(choices: Choices) -> Mapping[str, str]:
    """Return the configuration files by name, the one to serve first.

    With a provider and a development key there are two to serve, with the namespaces in a file that both include:
    the one for production has no key but the provider's.
    """
    if not choices.with_provider:
        return {MAIN: _write_main(choices, _write_development_issuer(choices), _write_namespaces(choices))}
    if not choices.key:
        return {MAIN: _write_main(choices, _write_issuer(choices), _write_namespaces(choices))}
    include = [_line(f"include: [{NAMESPACES}]", "what both files have in common")]
    return {
        FOR_DEVELOPMENT: _write_main(choices, _write_development_issuer(choices), include),
        MAIN: _write_main(choices, _write_issuer(choices), include),
        NAMESPACES: "\n".join(
            [f"# yaml-language-server: $schema={INCLUDED_SCHEMA}", *_write_namespaces(choices), ""]
        ),
    }


def _write_main(choices: Choices, issuer: Sequence[str], rest: Sequence[str]) -> str:
    origins = ", ".join(_quote(origin) for origin in choices.origins)
    return "\n".join(
        [
            f"# yaml-language-server: $schema={SCHEMA}",
            "# What is not allowed here is refused. `compartmentd check` finds mistakes; the daemon follows every",
            "# change of this file, and judges the sessions that are open by it, too.",
            "version: 1",
            "",
            "server:",
            _line('  listen: ["127.0.0.1:8000"]', "where clients connect"),
            _line('  admin: ["127.0.0.1:8001"]', "for you: health, metrics, the playground of --dev"),
            _line(f"  origins: [{origins}]", "the web pages that may connect"),
            "",
            "issuers:",
            *issuer,
            "",
            *rest,
            "",
        ]
    )


def _write_issuer(choices: Choices) -> list[str]:
    if choices.provider == BACKEND:
        return [
            "  backend:",
            _line(f"    issuer: {_quote(choices.issuer)}", "what your backend writes into `iss`"),
            _line(f"    audience: {_quote(choices.audience)}", "and into `aud`"),
            _line(
                f"    secret_file: {BACKEND_KEY}", "the secret that it signs with (HS256), 32 bytes or more"
            ),
        ]
    preset = [] if choices.provider == OTHER else [f"    preset: {choices.provider}"]
    return [
        f"  {choices.provider if preset else 'corp'}:",
        *preset,
        _line(f"    issuer: {_quote(choices.issuer)}", "the tokens' `iss`, letter for letter"),
        _line(
            f"    audience: {_quote(choices.audience)}", "their `aud`: tokens for another service are refused"
        ),
        "    # Keys are found and followed by OpenID discovery, at ISSUER/.well-known/openid-configuration.",
    ]


def _write_development_issuer(choices: Choices) -> list[str]:
    if choices.provider == BACKEND:
        # The same entry with another key, so that its tokens differ in nothing but the signature.
        return [
            "  backend:",
            _line(f"    issuer: {_quote(choices.issuer)}", f"as in {MAIN}"),
            f"    audience: {_quote(choices.audience)}",
            _line(f"    secret_file: {KEY}", "a throw-away key: only `serve --dev` takes it"),
        ]
    return [
        _line("  dev:", "your identity provider, later"),
        "    issuer: https://dev.example",
        "    audience: dev",
        _line(f"    secret_file: {KEY}", "a throw-away key: only `serve --dev` takes it"),
    ]


def _write_namespaces(choices: Choices) -> list[str]:
    lines = [
        "namespaces:",
        f"  {choices.namespace}:",
        _line(
            "    connect: authenticated",
            "anyone with a token; or {scope: chat}, {claim: role, equals: staff}",
        ),
        "    rooms:",
    ]
    for number, room in enumerate(choices.rooms):
        lines += [*([""] if number else []), *_write_room(room)]
    return lines


def _write_room(name: str) -> list[str]:
    text = parse_text(name)
    params: Text = () if isinstance(text, PatternProblem) else text[1::2]
    lines = [f"      {_quote(name)}:"]
    if not params:
        lines.append(_line("        join: authenticated", "whoever is connected with a token"))
    elif set(params) <= {"user", "sub"}:
        lines += [
            _line(f'        join: {{claim: sub, equals: "{{{params[0]}}}"}}', "one's own room"),
            _line(f"        auto_join: {{{params[0]}: sub}}", "entered at connect"),
        ]
    elif len(params) == 1:
        (param,) = params
        claim = guess_claim(param)
        lines += [
            _line(
                f'        join: {{claim: {claim}, contains: "{{{param}}}"}}', f"the token's list `{claim}`"
            ),
            _line(f"        auto_join: {{{param}: {claim}}}", "each of them is entered at connect"),
        ]
    else:
        parts = ", ".join(f'{{claim: {guess_claim(param)}, contains: "{{{param}}}"}}' for param in params)
        lines.append(f"        join: {{all: [{parts}]}}")
    return [
        *lines,
        _line("        publish: members", "everyone in the room may send"),
        _line("        events: [message]", "what can be sent"),
    ]


def guess_claim(param: str) -> str:
    """Return the claim that would list the values of a parameter: `projects` for `project`."""
    return param if param.endswith("s") else f"{param}s"


def _line(text: str, comment: str) -> str:
    return f"{text.ljust(_COLUMN)} # {comment}" if len(text) < _COLUMN else f"{text}  # {comment}"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def write_snippet(choices: Choices) -> str:
    """Return a client for these rooms, that comes back after a lost connection and renews its token."""
    room = next((name for name in choices.rooms if "{" not in name), "project:apollo")
    return CLIENT.replace("ROOM", room).replace("/chat", choices.namespace.rstrip("/"))


CLIENT = """\
import { io } from "socket.io-client";

let token = await newToken();                // yours: asks your backend, or your provider's library
let ending = null;                           // what the server said before it ended the session
const wanted = new Set(["ROOM"]);            // a new session is in no room but those of `auto_join`

const socket = io("http://127.0.0.1:8000/chat", { auth: (send) => send({ token }) });

socket.on("connect", async () => {           // also after a lost connection: join again
  for (const room of wanted) {
    const answer = await socket.emitWithAck("join", room);
    if (!answer.ok) console.log(room, answer.error.code);
  }
});
socket.on("message", (data, { room, from }) => console.log(room, from?.user, data));
// With `data` ({code, retry, after?, ref?}) the server refused; without, it was not reached, and is tried again.
socket.on("connect_error", (error) => console.log(error.message, error.data));
socket.on("expiring", async () => {          // a minute before the token ends
  token = await newToken();                  // kept first: it serves the next connection, too
  const answer = await socket.emitWithAck("refresh", token);
  if (!answer.ok) console.log("refresh", answer.error.code);
});
socket.on("closing", (notice) => (ending = notice));   // {code, retry, after?}
socket.on("disconnect", async (reason) => {
  const told = ending;
  ending = null;
  // A lost connection comes back by itself, and "io client disconnect" is our own wish.
  if (reason !== "io server disconnect") return;
  if (!told?.retry) return console.log("ended", told?.code);
  token = await newToken();
  socket.connect();
});

// Answers {ok: true}, or {ok: false, error: {code, message, retry, after?, ref?}}.
const say = (text) => socket.emitWithAck("publish", "ROOM", "message", { text });
"""
