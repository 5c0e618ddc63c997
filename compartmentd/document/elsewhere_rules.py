"""The words of other systems for rules: keys of a condition, and words in place of one.

The rows are those of `elsewhere_keys`.
"""

from __future__ import annotations

from collections.abc import Mapping

from compartmentd.document.elsewhere_keys import Rows

_ROLE = (
    "write `{claim: roles, contains: {one}}`; where Keycloak puts them, "
    "`{claim: [realm_access, roles], contains: {one}}`{several}"
)
_SINGLE_ROLE = (
    "write `{claim: role, equals: {one}}`; where tokens list roles, `{claim: roles, contains: {one}}`, and where "
    "Keycloak puts them, `{claim: [realm_access, roles], contains: {one}}`{several}"
)
_GROUP = "write `{claim: groups, contains: {one}}`{several}"

RULE_KEYS: Rows = {
    "and && all_of every each must requires require both": (
        "all",
        "write `all: [...]`: each of the rules must hold",
    ),
    "or || any_of some either should": ("any", "write `any: [...]`: at least one of the rules must hold"),
    "xor": ("any", "there is no rule for exactly one: write `{all: [{any: [A, B]}, {not: {all: [A, B]}}]}`"),
    "nor none none_of not_any": ("not", "write `{not: {any: [...]}}`: none of the rules may hold"),
    "nand not_all": ("not", "write `{not: {all: [...]}}`"),
    "! deny denied forbid forbidden except unless exclude excluding without must_not block": (
        "not",
        "write `{not: RULE}`, beside what is needed: `{all: [RULE, {not: RULE}]}`; what no rule allows is refused",
    ),
    "allow allowed permit permitted grant accept access when condition conditions": (
        None,
        "write the condition itself, without this key: what a rule does not allow is refused",
    ),
    "if then else": (
        None,
        "write `{all: [CONDITION, RULE]}`, and for the other case another part of an `any`",
    ),
    "role": (None, _SINGLE_ROLE),
    "roles realm_role realm_roles client_role client_roles authority authorities has_role has_any_role": (
        None,
        _ROLE,
    ),
    "group groups in_group member_of_group ou": (None, _GROUP),
    "permission permissions": (
        None,
        "write `{claim: permissions, contains: {one}}`, or `{scope: {one}}` if its `scopes` list it{several}",
    ),
    "user users username user_id uid sub subject principal owner": (
        None,
        'write `{claim: sub, equals: {one}}`; for the user of a room\'s name `{claim: sub, equals: "{PARAMETER}"}`',
    ),
    "email tenant org organization team department client_id azp acr": (
        None,
        "a claim is tested by name, as in `{claim: NAME, equals: {one}}`",
    ),
    "claims": (None, "write one condition for each: `{all: [{claim: NAME, equals: VALUE}, ...]}`"),
    "params parameter parameters": ("param", "write one condition for each: `{param: NAME, equals: VALUE}`"),
    "scopes has_scope require_scope require_scopes required_scopes": (
        None,
        "write `all_scopes: {list}` where all are needed, `any_scope: {list}` where one is enough",
    ),
    "authenticated public nobody members server": (None, "write the word alone, without `{...}`"),
    "login logged_in signed_in require_auth valid_user": (
        None,
        "write `authenticated` alone, without `{...}`",
    ),
    "capability capabilities": (
        None,
        "write the rules in the room: `join` for who subscribes, `publish` for who publishes",
    ),
    "expression expr script cel rego lua code eval function": (
        None,
        "rules are no expressions: join conditions by `all`, `any` and `not`",
    ),
    "eq equal is_equal == value": ("equals", "write `equals: {value}`"),
    "in values is_in among": ("one_of", "write `one_of: {list}`"),
    "ne neq not_equal not_equals !=": (
        None,
        "write `{not: {claim: NAME, equals: {value}}}`; it does not hold where the claim is of another type",
    ),
    "not_in nin": (None, "write `{not: {claim: NAME, one_of: {list}}}`"),
    "regex regexp pattern match like glob": ("matches", "write `matches: PATTERN`, RE2 over the whole value"),
    "include includes has contain contains_value array_contains": ("contains", "write `contains: {one}`"),
    "contains_all includes_all has_all": (
        None,
        "write one condition for each value: `{all: [{claim: NAME, contains: {one}}, ...]}`",
    ),
    "includes_any has_any intersects": ("contains_any", "write `contains_any: {list}`"),
    "starts_with prefix": (
        "matches",
        'write `matches: "PREFIX.*"`, with RE2\'s special characters in `[...]`',
    ),
    "ends_with suffix": ("matches", 'write `matches: ".*SUFFIX"`, with RE2\'s special characters in `[...]`'),
    "gte ge min minimum >=": ("at_least", "write `at_least: {value}`"),
    "lte le max maximum <=": ("at_most", "write `at_most: {value}`"),
    "gt greater greater_than more_than >": (
        "at_least",
        "`at_least` holds for the number itself, too: write the next one that may pass",
    ),
    "lt less less_than <": (
        "at_most",
        "`at_most` holds for the number itself, too: write the last one that may pass",
    ),
    "between range": (None, "write `{all: [{claim: NAME, at_least: LOW}, {claim: NAME, at_most: HIGH}]}`"),
    "exist present defined required": ("exists", "write `exists: true`"),
    "missing absent undefined null": ("exists", "write `exists: false`"),
    "after since not_before expires": ("is", "for a time in a claim write `is: past` or `is: future`"),
    "before until expired": ("is", "for a time in a claim write `is: past` or `is: future`"),
    "time hours days schedule weekdays": (None, "rules by the clock (`during`) are not built yet"),
    "ip cidr address network origin referer": (
        None,
        "rules see the token and the room, not the address; `server.origins` and a firewall limit where from",
    ),
    "hook webhook http url proxy_subscribe proxy_publish": (
        None,
        "asking a service (`ask`) is not built yet",
    ),
    "iss": ("issuer", "write `issuer: NAME`, the name of the entry under `issuers`"),
}
"""Keys of a rule."""

_OPEN = "`authenticated` lets in anyone with a token, `public` also anyone without one"

RULE_WORDS: Mapping[str, str] = {
    "everyone everybody anyone anybody all any * open anonymous guest allow allowed true yes on enabled": _OPEN,
    "none no_one deny denied never closed off disabled false no reject forbid": "write `nobody`",
    "user users logged_in login signed_in jwt token valid_user auth required require_auth": (
        "write `authenticated`: anyone with a token"
    ),
    "private protected restricted secret internal": (
        "write a condition, such as `{scope: chat:read}` or `{claim: roles, contains: staff}`; `nobody` closes it"
    ),
    "member subscriber subscribers subscribed joined participants room": (
        "write `members`, in `publish` of a room; in `join`, name another room: `{member_of: ROOM}`"
    ),
    "backend api system service operator": (
        "write `server`, in `join` of a room; for tokens of a service, a condition such as `{scope: {word}}`"
    ),
    "admin admins administrator staff moderator moderators mod owner editor viewer manager superuser root": (
        "a role is a condition: `{claim: roles, contains: {word}}`; a named rule is `{rule: {word}}`"
    ),
}
"""Words in place of a rule."""
