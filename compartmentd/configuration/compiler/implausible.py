"""Finds texts that are allowed but that no real token, provider or client holds, which is mostly a mistake."""

from __future__ import annotations

import re
from typing import NamedTuple

from compartmentd.configuration.compiler.report import Report
from compartmentd.document.node import Node
from compartmentd.document.spell import spell_flow
from compartmentd.tokens.entry import TENANT

# `${HOST}`, `$(HOST)`, `$HOST`, `%HOST%`, `<host>`, `{{ .Values.host }}`: what other tools would have replaced.
_VARIABLE = re.compile(r"\$\([^)]*\)|\$[A-Za-z_]\w*|%[A-Z_]{2,}%")
"""The forms that are neither a placeholder in a rule nor literal braces."""

_UNSET = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)|\$[A-Za-z_]\w*|%[A-Z_]{2,}%|<[A-Za-z][\w .-]*>|\{\{[^}]*\}\}")
_PLACEHOLDER = re.compile(r"\{[^}]*\}")
_HOST_ALONE = re.compile(r"(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?::\d+)?(?:/.*)?|localhost(?::\d+)?(?:/.*)?")
_WITHOUT_SCHEME = frozenset({"accounts.google.com"})
"""Issuers that really are host names: Google's tokens may have either form."""


class Doubt(NamedTuple):
    """Why a text is not what was meant, and what to write."""

    message: str
    help: str


def doubt_issuer(text: str) -> Doubt | None:
    """Return why no token can have this issuer, or `None` if one may."""
    found = _doubt_placeholder(text.replace(TENANT, ""), text, "a token's `iss`")
    if found is None and _HOST_ALONE.fullmatch(text) and text not in _WITHOUT_SCHEME:
        return Doubt(
            f"`{text}` has no scheme, and issuers mostly are URLs",
            f"write `https://{text}`, exactly as tokens have it",
        )
    return found


def doubt_audience(text: str) -> Doubt | None:
    """Return why no token can have this audience, or `None` if one may."""
    return _doubt_placeholder(text, text, "a token's audience")


def doubt_scope(text: str) -> Doubt | None:
    """Return why no token can hold this scope, or `None` if one may; `{parameter}` is replaced in it."""
    unset = _VARIABLE.search(text)
    if unset is not None:
        return _doubt_unset(unset[0], "a scope")
    if "*" in text:
        return Doubt(
            f"`*` in scope `{text}` is no wildcard: scopes are compared exactly",
            "list the scopes in `any_scope: [...]`, or let the provider grant one that means them all",
        )
    return None


def doubt_value(text: str) -> Doubt | None:
    """Return why no claim can have this value, or `None` if one may."""
    unset = _VARIABLE.search(text)
    return None if unset is None else _doubt_unset(unset[0], "a value")


def doubt_claim(name: str) -> Doubt | None:
    """Return why the name of a claim is probably a path, or `None` if it is a name."""
    parts = name.split(".")
    if len(parts) == 1 or not all(re.fullmatch(r"[A-Za-z_][\w-]*", part) for part in parts):
        return None  # names such as `https://example.com/roles` are usual
    return Doubt(
        f"`{name}` is one claim with a dot in its name, which is rare: a name is never split",
        f"write a path as a list: {spell_flow(parts)}; a dot in a name that stands in a list alone is meant",
    )


def _doubt_placeholder(text: str, whole: str, where: str) -> Doubt | None:
    unset = _UNSET.search(text)
    if unset is not None:
        return _doubt_unset(unset[0], where)
    found = _PLACEHOLDER.search(text)
    if found is None:
        return None
    return Doubt(
        f"`{found[0]}` in `{whole}` is not replaced, and {where} never has it", "write the name itself"
    )


def _doubt_unset(found: str, where: str) -> Doubt:
    return Doubt(
        f"`{found}` is taken as it stands: nothing replaces variables in this file, and {where} never has it",
        "write the value itself, or let the tool that makes this file replace it",
    )


def check_entry(node: Node, report: Report) -> bool:
    """Warn of texts in an entry that no token has; return whether its issuer is free of doubt."""
    issuer, audience = node.get("issuer"), node.get("audience")
    doubted = None if issuer is None else doubt_issuer(issuer.data)
    if issuer is not None and doubted is not None:
        report.warning(issuer.span, "issuer.implausible", doubted.message, doubted.help)
    items = () if audience is None else (audience,) if isinstance(audience.data, str) else audience.items
    for item in items:
        found = doubt_audience(item.data)
        if found is not None:
            report.warning(item.span, "audience.implausible", found.message, found.help)
    scopes, subject = node.get("scopes"), node.get("subject")
    for item in (*(() if scopes is None else scopes.items), *(() if subject is None else (subject,))):
        found = doubt_claim(item.data) if isinstance(item.data, str) else None
        if found is not None:
            help_ = found.help if item is subject else "the claims that list scopes are top-level ones"
            report.warning(item.span, "claim.dotted", found.message, help_)
    return doubted is None


# --- rooms -----------------------------------------------------------------------------------------------------

_EXPRESS = re.compile(r"[/.:_-](:[A-Za-z_]\w*)")
_MQTT = re.compile(r"(?:^|/)([+#])(?:/|$)")
_FLASK = re.compile(r"<(?:\w+:)?([A-Za-z_]\w*)>")
_SIGNS = tuple(
    re.compile(form)
    for form in (
        r"\[([A-Za-z_]\w*)\]",
        r"\{([A-Za-z_]\w*)\}",
        r"(?<!\w)\$([A-Za-z_]\w*)",
        r"%([A-Za-z_]\w*)%",
    )
)
"""A parameter as `[id]`, `{{id}}`, `$id` and `%id%`; braces are doubled in the name, and single in a literal."""
_STAR = re.compile(r"(?<!\w)\.\*|\*+")
"""A wildcard, or the pattern `.*` that stands for a whole part of a name."""


def doubt_room(name: str, literals: tuple[str, ...]) -> Doubt | None:
    """Return why the name of a template is probably not what was meant, or `None` if it may be.

    Args:
        name: The name as it is written.
        literals: The parts of it between its parameters.
    """
    for index, literal in enumerate(literals):
        if literal.endswith("$") and index < len(literals) - 1:
            return Doubt(
                "`$` stands before a parameter as a part of the name", f"write `{name.replace('${', '{')}`"
            )
        if "*" in literal:
            return _doubt_wildcard("*", _STAR.sub("{id}", name, count=1))
        found = _MQTT.search(literal) if len(literals) == 1 else None
        if found is not None:
            return _doubt_wildcard(found[1], f"{name[: found.start(1)]}{{id}}{name[found.end(1) :]}")
        # Of a name that begins with `:name` the first part has nothing before it.
        found = _FLASK.search(literal) or _EXPRESS.search(literal if index else f"/{literal}")
        if found is not None:
            whole, parameter = found[0], found[1].lstrip(":")
            at = name.find(found[1] if found.re is _EXPRESS else whole)
            length = len(found[1]) if found.re is _EXPRESS else len(whole)
            meant = f"{name[:at]}{{{parameter}}}{name[at + length :]}"
            return Doubt(
                f"`{name[at : at + length]}` is no parameter, but a part of the name", f'write "{meant}"'
            )
        for sign in _SIGNS:
            found = sign.search(literal)
            if found is not None:
                whole = found[0].replace("{", "{{").replace("}", "}}")
                meant = name.replace(whole, f"{{{found[1]}}}", 1)
                return Doubt(f"`{whole}` is no parameter, but a part of the name", f'write "{meant}"')
    return None


def _doubt_wildcard(sign: str, meant: str) -> Doubt:
    return Doubt(
        f"`{sign}` is no wildcard, but a part of the name",
        f'write "{meant}": a parameter stands for each of its values, and a rule can ask for it',
    )
