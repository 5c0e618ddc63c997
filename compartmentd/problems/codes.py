"""The table of problem codes: what each means, and what to do about it.

A code is stable, so that it may be searched for, and has two parts: the area and what is wrong there. The severity
is not part of it: a key file that cannot be read is an error where it is served and a note where it is checked.
The codes that clients get are another table (`policy.codes`).

INVARIANT: a `Problem` has a code of this table, and a test produces each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Explanation(NamedTuple):
    """The meaning of a code, and what to do about it."""

    meaning: str
    advice: str


_CODES: tuple[tuple[str, str, str], ...] = (
    # The text of a file
    (
        "text.encoding",
        "A file is not UTF-8, or begins with a byte order mark.",
        "Save it as UTF-8 without one.",
    ),
    (
        "text.character",
        "A file contains a character that no editor shows.",
        "Remove it, or write its escape.",
    ),
    (
        "text.size",
        "The files are larger than 64 MiB.",
        "Split a file with `include`; all files share the limit.",
    ),
    # YAML
    ("yaml.empty", "A file is empty.", "Begin with `version: 1`."),
    ("yaml.syntax", "The text is not YAML.", "Look at the place that is named, and at the lines before it."),
    ("yaml.tab", "A line is indented with a tab.", "Indent with spaces."),
    (
        "yaml.documents",
        "A file contains a second document.",
        "Keep one document in a file; `include` joins files.",
    ),
    ("yaml.nodes", "The files contain more than 5,000,000 values.", "Make the configuration smaller."),
    ("yaml.depth", "A file is nested more than 64 deep.", "Use named rules in place of nested ones."),
    ("yaml.trap", "Readers of YAML differ about a value without quotes.", "Put it in quotes if it is text."),
    ("yaml.number", "A number does not fit in 64 bits.", "Write it in quotes if it is text."),
    ("yaml.surrogate", "A text contains half a surrogate pair.", "Write the character itself."),
    ("yaml.anchor", "An anchor is used, which is not accepted.", "Use a named rule."),
    ("yaml.alias", "An alias is used, which is not accepted.", "Write the value out, or use a named rule."),
    ("yaml.merge", "A merge key is used, which is not accepted.", "Write the keys out, or use a named rule."),
    ("yaml.tag", "A tag is used, which is not accepted.", "Remove it."),
    ("yaml.key", "A key is not text.", "Write it in quotes."),
    (
        "yaml.duplicate-key",
        "A mapping contains a key twice.",
        "Remove one of them, or join what they contain.",
    ),
    # The schema of the file
    ("schema.unknown-key", "No such key exists here.", "Look for a misspelling, or see the list of keys."),
    ("schema.missing", "A required key is missing.", "Add it."),
    (
        "schema.choice",
        "A mapping has none or several of the keys of which it needs one.",
        "Keep one of them.",
    ),
    ("schema.name", "A name does not have the right form.", "Write it in the form that is shown."),
    (
        "schema.type",
        "A value is of another type than is needed here.",
        "Write a value of the type that is shown.",
    ),
    ("schema.value", "A value is none of those that are possible here.", "Use one of those that are listed."),
    ("schema.form", "A text does not have the right form.", "Write it in the form that is shown."),
    ("schema.range", "A number, length or count is outside its range.", "Use one within the range."),
    ("schema.twice", "A list contains a value twice.", "Remove one of them."),
    ("schema.empty", "A value is empty.", "Give it a value, or remove the key."),
    ("schema.not-built", "The key's feature does not exist yet.", "Remove the key."),
    ("schema.not-here", "The key may not stand here.", "Write it in the place that is named."),
    ("schema.size", "A size does not have the right form.", "Write a size such as `64KiB`."),
    ("schema.duration", "A duration does not have the right form.", "Write a duration such as `30s`."),
    ("schema.rate", "A rate does not have the right form.", "Write a rate such as `20/s`."),
    ("schema.count", "A count does not have the right form.", "Write a whole number."),
    # Files and variables that the configuration names
    (
        "file.unreadable",
        "A file that the configuration names cannot be read.",
        "Check its path and permissions.",
    ),
    (
        "file.open-to-others",
        "A secret or a private key may be read or written by other users of the machine.",
        "Take their rights away: `chmod 600`, or `640` with a group of the daemon's own.",
    ),
    (
        "variable.unset",
        "An environment variable that the configuration names is not set.",
        "Set it for the daemon.",
    ),
    ("health.taken", "The health path is a path of the server's own.", "Choose another path."),
    ("include.twice", "Two files declare the same name.", "Remove one of them, or join them."),
    ("include.nothing", "A pattern of `include` matches no file.", "Check the pattern; paths are relative."),
    # server
    ("address.twice", "Two listeners have the same address.", "Give each an address of its own."),
    (
        "address.unsafe",
        "Administrators' tokens come over the network without TLS.",
        "Listen on loopback behind a proxy, or set `tls`.",
    ),
    ("address.in-use", "Another process listens on an address.", "Stop it, or take another address."),
    ("address.port", "A port is outside 0 to 65535.", "Use a port within the range."),
    ("address.ipv6", "An IPv6 address is not in brackets.", "Write it as `[::1]:8000`."),
    (
        "proxies.network",
        "A network of `proxies` is not an address or a CIDR block.",
        "Write it as `10.0.0.0/8`.",
    ),
    ("origins.any-with-cookies", "Any origin is accepted while tokens come in cookies.", "List the origins."),
    ("origins.any-not-alone", '`"*"` stands beside other origins.', "Keep either of them."),
    (
        "origins.default-port",
        "An origin names its scheme's default port, which no browser sends.",
        "Leave it out.",
    ),
    # issuers
    ("issuer.algorithms", "The algorithms do not fit the kinds of keys.", "Add a key, or remove one."),
    (
        "issuer.ca-file",
        "The authorities for fetching keys cannot be used.",
        "Name a PEM file of certificates.",
    ),
    ("issuer.allow-http", "Keys come over plain HTTP from another machine.", "Use HTTPS where you can."),
    (
        "issuer.implausible",
        "An issuer looks like a placeholder or an unset variable.",
        "Write the real issuer.",
    ),
    ("issuer.leeway", "A leeway is longer than is safe.", "Shorten it; clocks are rarely a minute apart."),
    ("issuer.tenants", "An issuer of many tenants needs to say which it accepts.", "Name the tenants."),
    (
        "issuer.twice",
        "Two entries accept the same tokens.",
        "Join them, or give each an audience of its own.",
    ),
    ("issuer.unknown", "No entry of `issuers` has this name.", "Use one that is declared, or declare it."),
    ("issuer.url", "A URL of an issuer cannot be used.", "Write an `https://` URL."),
    (
        "audience.implausible",
        "An audience looks like a placeholder or an unset variable.",
        "Write the real one.",
    ),
    (
        "issuers.missing",
        "A namespace needs tokens, and no issuer is declared.",
        "Declare one under `issuers`.",
    ),
    (
        "issuers.use",
        "A namespace uses an entry whose `use` excludes it.",
        "Add `connect` to the entry's `use`.",
    ),
    (
        "api.not-served",
        "An entry is declared for an API that is not served.",
        "Remove the use, or serve the API.",
    ),
    ("logout.forgotten", "Logouts are lost at a restart.", "Set `server.state`."),
    # Keys and secrets
    (
        "key.unusable",
        "A key file does not contain a usable key.",
        "Put a key there in the form that is shown.",
    ),
    ("key.none-usable", "No key of a set can be used by the entry.", "See what each key lacks."),
    ("key.algorithm", "A key does not fit the entry's algorithms.", "Use another key, or other algorithms."),
    (
        "key.private",
        "A file of public keys contains a private key.",
        "Keep it secret, and put the public key there.",
    ),
    ("key.shared", "Two entries have a key or secret in common.", "Give each issuer a key of its own."),
    ("key.too-weak", "A key is too short to be safe.", "Make a longer one."),
    ("key.too-large", "A key is so large that verifying would be slow.", "Make a smaller one."),
    ("key.development", "A development key is used outside development.", "Use a key of your own."),
    (
        "key.unavailable",
        "Keys could not be fetched yet.",
        "See the log for the reason; tokens are refused until then.",
    ),
    (
        "secret.carriage-return",
        "The file of a secret ends with a carriage return, which is a part of it.",
        "Write the file without one.",
    ),
    ("secret.too-short", "A secret is shorter than its algorithm allows.", "Make a longer one."),
    ("secret.is-a-key", "A secret is a public key, which anybody may know.", "Use `public_key_file`."),
    # TLS certificates
    (
        "certificate.unusable",
        "A certificate file contains no usable certificate.",
        "Put the chain there, in PEM form.",
    ),
    (
        "certificate.key",
        "The private key of a certificate cannot be used.",
        "Put it there, unencrypted, in PEM form.",
    ),
    (
        "certificate.mismatch",
        "The private key does not belong to the certificate.",
        "Use the key that it was made for.",
    ),
    ("certificate.untimely", "A certificate has expired, or is not valid yet.", "Renew it."),
    # namespaces, rooms and events
    ("namespaces.none", "No namespace is declared, so nobody can connect.", "Declare one."),
    ("namespace.closed", "Nobody can connect to a namespace.", "Write a rule that somebody can satisfy."),
    ("event.reserved", "The name of an event is reserved.", "Use another name."),
    (
        "event.unpublishable",
        "An event is declared where nobody may publish.",
        "Write who may publish, or remove the event.",
    ),
    (
        "event.wildcard",
        "The name of an event holds a `*`, which is no wildcard.",
        "List the names of the events.",
    ),
    (
        "publish.without-events",
        "A room says who may publish and declares no event, so nothing can be sent.",
        "Name the events, or remove `publish`.",
    ),
    (
        "namespace.slash",
        "The name of a namespace has a `/` more than clients mostly write.",
        "Write it without.",
    ),
    (
        "template.wildcard",
        "The name of a room holds a wildcard or parameter in the form of another system.",
        "Write a parameter as `{name}`.",
    ),
    ("template.name", "A template does not have the right form.", "Write it in the form that is shown."),
    ("template.twice", "Two templates are the same.", "Remove one of them, or join them."),
    (
        "template.overlap",
        "Two templates match the same room.",
        "Tell them apart by a fixed part or a pattern.",
    ),
    (
        "template.ambiguous",
        "A room can be read in two ways by one template.",
        "Put a fixed part between parameters.",
    ),
    ("template.pattern", "The pattern of a parameter does not have the right form.", "Write it as is shown."),
    ("template.range", "A range of a parameter is empty.", "Make `min` no larger than `max`."),
    ("template.value", "A value of a parameter cannot stand in a room's name.", "Use another value."),
    ("template.impossible", "No room's name can match a template.", "Shorten it."),
    ("parameter.unknown", "A template has no such parameter.", "Use one that stands in the template."),
    (
        "auto-join.params",
        "`auto_join` does not give each parameter a claim.",
        "Name a claim for each parameter.",
    ),
    (
        "member-of.unknown",
        "No template has rooms like the one that `member_of` names.",
        "Name a declared room.",
    ),
    ("member-of.cycle", "Rooms need membership of each other.", "Remove one of the conditions."),
    # Rules
    ("rule.unknown", "No rule has this name.", "Use one that is declared, or declare it under `rules`."),
    ("rule.cycle", "A named rule refers to itself.", "Remove the reference."),
    ("rule.depth", "Rules are nested too deeply through their names.", "Flatten them."),
    ("rule.place", "A condition cannot be asked here.", "Use one that is possible in this place."),
    ("rule.parameter", "A rule uses a parameter that is not there where the rule is used.", "Use another."),
    ("rule.placeholder", "A placeholder does not have the right form.", "Write it as `{name}`."),
    ("rule.pattern", "A pattern is not one of RE2.", "See what is wrong with it; RE2 has no look-around."),
    ("rule.ambiguous", "A text with placeholders can be read in two ways.", "Put a fixed part between them."),
    ("rule.never", "A rule can never hold.", "Correct it, or write `nobody`."),
    (
        "rule.bare-subject",
        "A rule compares a subject, which is unique only within its issuer, where several issuers' tokens count.",
        "Name the issuer as well, by `{issuer: NAME}`.",
    ),
    (
        "rule.implausible",
        "A rule asks for a value that no token holds.",
        "Write the value as tokens have it.",
    ),
    (
        "claim.dotted",
        "The name of a claim has a dot, and looks like a path.",
        "Write a path as a list, as in `[realm_access, roles]`.",
    ),
    (
        "rule.literal-braces",
        "Braces are taken as they are written, not as a placeholder.",
        "Check what is meant.",
    ),
    ("rule.scope-with-space", "A scope contains a space, so no token has it.", "List each scope for itself."),
    # Schemas of events
    ("schema-file.invalid", "A schema of an event cannot be used.", "Correct what is named."),
    (
        "schema-file.costly",
        "Validating by a schema of an event can take long.",
        "Tell branches apart by a property.",
    ),
    # State, reload
    (
        "state.unusable",
        "The directory of `server.state` cannot be used.",
        "Check that the daemon may write there.",
    ),
    ("state.in-use", "Another daemon uses the directory of `server.state`.", "Give each daemon its own."),
    (
        "state.damaged",
        "A file of `server.state` is damaged.",
        "Restore it, or remove it and lose revocations.",
    ),
    ("reload.failed", "A reload failed by a defect.", "See the log, and report it."),
    (
        "reload.compiler-failed",
        "The process that compiles the configuration ended.",
        "See the log for the reason.",
    ),
    ("problem.other", "A problem that only a daemon of another version knows.", "See its message."),
    ("reload.needs-restart", "A change takes effect at a restart only.", "Restart, or undo the change."),
)

PROBLEM_CODES: Mapping[str, Explanation] = {
    code: Explanation(meaning, advice) for code, meaning, advice in _CODES
}
"""Every code with its explanation, in the order of the reference."""


def list_problem_codes() -> Iterator[tuple[str, str, str]]:
    """Yield code, meaning and advice of every problem, for the reference."""
    yield from _CODES
