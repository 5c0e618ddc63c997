"""Presets of well-known identity providers: defaults for an entry, and the usual mistakes.

A preset is data. The operator's own settings of an entry override it; those of `require` claim by claim, since
nobody would notice a requirement that is lost by adding another. The facts about a vendor are from its
documentation of access tokens; `docs/guides/providers/` has an example for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from compartmentd.tokens.entry import DEFAULT_TYPES, TENANT

_ACCESS = ("at+jwt", "application/at+jwt")
"""The `typ` of RFC 9068: an access token by definition, so it is accepted from every vendor."""

_ID_TOKENS_ONLY = ("nonce", "at_hash", "c_hash")
"""Claims that mark an ID token (OpenID Connect Core, 2 and 3.3.2.11)."""


class Mistake(msgspec.Struct, frozen=True):
    """A wrong value that is often written. `pattern` matches all of it; `message` continues after the value."""

    pattern: str
    message: str
    help: str

    def matches(self, text: str) -> bool:
        """Return whether a value is this mistake."""
        return re.fullmatch(self.pattern, text) is not None


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor. The defaults here are those of an entry without a preset.

    `host` matches the vendor's own hosts, to recognise an entry that names no preset. `issuer` matches the
    issuers of its tokens, and `form` shows their form. `discovery` rewrites the issuer into the base URL of the
    discovery document, if that is not the issuer itself; `jwks_url` is the key set's URL, if discovery is not
    needed. `never` are claims that the vendor's ID tokens have and its access tokens never have, `always`
    those that its access tokens have and its ID tokens never.
    """

    title: str = ""
    host: str = ""
    issuer: str = ".*"
    form: str = ""
    mistakes: tuple[Mistake, ...] = ()
    audience_mistakes: tuple[Mistake, ...] = ()
    audience_ends_issuer: bool = False
    audience_claim: str = "aud"
    scopes: tuple[str, ...] = ("scope", "scp")
    types: tuple[str | None, ...] = DEFAULT_TYPES
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    require: dict[str, str | int | float | bool] = {}
    never: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    discovery: tuple[tuple[str, str], ...] = ()
    jwks_url: str | None = None
    tenants: bool = False

    def recognises(self, issuer: str) -> bool:
        """Return whether an issuer is on one of the vendor's own hosts."""
        return bool(self.host) and re.match(rf"https?://{self.host}(?:/|$)", issuer) is not None

    def find_issuer_mistake(self, issuer: str) -> Mistake | None:
        """Return the mistake in an issuer that no token of the vendor has, or `None`."""
        if re.fullmatch(self.issuer, issuer):
            return None
        other = f"is not an issuer of {self.title}, which has the form `{self.form}`"
        usual = next((mistake for mistake in self.mistakes if mistake.matches(issuer)), None)
        return usual or Mistake("", other, "write it exactly as in the tokens' `iss`")

    def find_audience_mistake(self, audience: str, issuer: str) -> Mistake | None:
        """Return the mistake in an audience that tokens for this server do not have, or `None`."""
        if self.audience_ends_issuer and audience != issuer.rpartition("/")[2]:
            return Mistake("", "is not the project that `issuer` ends with", "write the project's id in both")
        return next((mistake for mistake in self.audience_mistakes if mistake.matches(audience)), None)

    def get_discovery_base(self, issuer: str) -> str:
        """Return the base URL of an issuer's discovery document."""
        for pattern, replacement in self.discovery:
            issuer = re.sub(pattern, replacement, issuer)
        return issuer


_SLASH_TOO_MANY = "ends with `/`, and no token's `iss` does"
_SLASH_MISSING = "does not end with `/`, and the tokens' `iss` does"
_REMOVE_SLASH = "remove the last character"
_ADD_SLASH = "add `/` at the end"

NO_PRESET = Preset()

_GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ENTRA_TENANT = rf"(?:{_GUID}|{re.escape(TENANT)})"
_ENTRA_LOGIN = (
    r"(?:login\.microsoftonline\.(?:com|us)|login\.partner\.microsoftonline\.cn|[a-z0-9-]+\.ciamlogin\.com)"
)
_ENTRA_STS = r"sts\.(?:windows\.net|chinacloudapi\.cn)"

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "keycloak": Preset(
            title="Keycloak",
            issuer=r"https?://[^/]+(?:/[^/]+)*/realms/[^/]+",
            form="https://HOST/realms/REALM",
            mistakes=(Mistake(r".*/realms/[^/]+/", _SLASH_TOO_MANY, _REMOVE_SLASH),),
            audience_mistakes=(
                Mistake(
                    "account",
                    "is the audience of nearly every token of a realm, whatever its purpose",
                    "give the client an audience mapper (or a client scope with one), and write what it adds",
                ),
            ),
            scopes=("scope",),
            types=("JWT", *_ACCESS),
            # ID tokens have `ID` here, and refresh tokens `Refresh`.
            require={"typ": "Bearer"},
        ),
        "auth0": Preset(
            title="Auth0",
            host=r"[a-z0-9.-]+\.auth0\.com",
            issuer=r"https?://[^/]+/",
            form="https://DOMAIN/",
            mistakes=(Mistake(r"https?://[^/]+", _SLASH_MISSING, _ADD_SLASH),),
            audience_mistakes=(
                Mistake(
                    r"https?://[^/]+/userinfo",
                    "is the audience that Auth0 adds for its own endpoint",
                    "write the identifier of an API, and let clients ask for it with `audience`",
                ),
            ),
            # `permissions` is there where RBAC is on, with `Add Permissions in the Access Token`.
            scopes=("scope", "permissions"),
            types=("JWT", *_ACCESS),
            algorithms=("RS256", "PS256"),
            never=_ID_TOKENS_ONLY,
        ),
        "okta": Preset(
            title="Okta",
            host=r"[a-z0-9-]+\.okta(?:preview|-emea)?\.com",
            issuer=r"https?://[^/]+/oauth2/[^/]+",
            form="https://DOMAIN/oauth2/SERVER",
            mistakes=(
                Mistake(
                    r"https?://[^/]+/?",
                    "is Okta's org authorization server, whose access tokens are only for Okta",
                    "use a custom authorization server, such as `https://DOMAIN/oauth2/default`",
                ),
                Mistake(r".*/oauth2/[^/]+/", _SLASH_TOO_MANY, _REMOVE_SLASH),
            ),
            scopes=("scp",),
            types=(None, *_ACCESS),
            algorithms=("RS256",),
            never=_ID_TOKENS_ONLY,
        ),
        "entra": Preset(
            title="Entra ID",
            host=rf"(?:{_ENTRA_LOGIN}|{_ENTRA_STS})",
            issuer=(
                rf"https://(?:{_ENTRA_LOGIN}/{_ENTRA_TENANT}/v2\.0|{_ENTRA_STS}/{_ENTRA_TENANT}/"
                rf"|[a-z0-9-]+\.b2clogin\.com/{_GUID}/v2\.0/)"
            ),
            form="https://login.microsoftonline.com/TENANT/v2.0",
            mistakes=(
                Mistake(
                    r"https://[^/]+/(?:common|organizations|consumers)(?:/.*)?",
                    "is not the issuer of any token: each token has the id of its own tenant there",
                    "write the tenant's id, or `{tenantid}` and a list of `tenants`",
                ),
                Mistake(
                    r"https://[^/]+/[^/]*\.[^/]*/.*",
                    "names the tenant by its domain, and tokens name it by its id",
                    "write the tenant's id, which is on its overview page",
                ),
                Mistake(rf"https://{_ENTRA_LOGIN}/{_ENTRA_TENANT}/v2\.0/", _SLASH_TOO_MANY, _REMOVE_SLASH),
                Mistake(rf"https://{_ENTRA_STS}/{_ENTRA_TENANT}", _SLASH_MISSING, _ADD_SLASH),
                Mistake(
                    rf"https://{_ENTRA_LOGIN}/{_ENTRA_TENANT}/?",
                    "lacks its version",
                    "v2.0 tokens have `https://login.microsoftonline.com/TENANT/v2.0`, v1.0 tokens "
                    "`https://sts.windows.net/TENANT/`; `accessTokenAcceptedVersion` of the app decides",
                ),
            ),
            audience_mistakes=(
                Mistake(
                    r"https://graph\.microsoft\.com/?|00000003-0000-0000-c000-000000000000",
                    "is Microsoft Graph, whose tokens nobody else can verify",
                    "expose an API of your own, and let clients ask for one of its scopes",
                ),
            ),
            # Tokens of applications have no `scp`: what those may do is in `roles`.
            scopes=("scp",),
            types=("JWT", *_ACCESS),
            algorithms=("RS256",),
            never=_ID_TOKENS_ONLY,
            discovery=(
                (r"^https://sts\.windows\.net/([^/]+)/$", r"https://login.microsoftonline.com/\1"),
                (
                    r"^https://sts\.chinacloudapi\.cn/([^/]+)/$",
                    r"https://login.partner.microsoftonline.cn/\1",
                ),
                (re.escape(TENANT), "common"),
            ),
            tenants=True,
        ),
        "cognito": Preset(
            title="Cognito",
            host=r"(?:cognito-idp\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?|[a-z0-9.-]+\.amazoncognito\.com)",
            issuer=r"https://cognito-idp\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/[a-z0-9-]+_[0-9A-Za-z]+",
            form="https://cognito-idp.REGION.amazonaws.com/POOL",
            mistakes=(
                Mistake(
                    r"https?://[^/]+\.amazoncognito\.com(?:/.*)?",
                    "is the host of a user pool's login pages, not a token's `iss`",
                    "write `https://cognito-idp.REGION.amazonaws.com/POOL` with the user pool's id",
                ),
                Mistake(r"https://cognito-idp\.[^/]+/[^/]+/", _SLASH_TOO_MANY, _REMOVE_SLASH),
                Mistake(
                    r"https://cognito-idp\.[^/]+/?",
                    "lacks the user pool",
                    "add the user pool's id, such as `eu-west-1_AbCdEfGhI`",
                ),
            ),
            # Access tokens have no `aud`; ID tokens have, and `token_use: id`.
            audience_claim="client_id",
            require={"token_use": "access"},
            scopes=("scope",),
            types=(None, *_ACCESS),
            algorithms=("RS256",),
        ),
        "firebase": Preset(
            title="Firebase",
            host=r"securetoken\.google\.com",
            issuer=r"https://securetoken\.google\.com/[^/]+",
            form="https://securetoken.google.com/PROJECT",
            mistakes=(
                Mistake(
                    r"https://securetoken\.google\.com/?",
                    "lacks the project",
                    "add the project's id: `https://securetoken.google.com/PROJECT`",
                ),
                Mistake(r"https://securetoken\.google\.com/[^/]+/", _SLASH_TOO_MANY, _REMOVE_SLASH),
                Mistake(
                    r"https://accounts\.google\.com/?",
                    "is Google's own sign-in, whose access tokens are opaque",
                    "send Firebase's ID token (`getIdToken()`), and write `https://securetoken.google.com/PROJECT`",
                ),
            ),
            audience_ends_issuer=True,
            types=("JWT",),
            algorithms=("RS256",),
            jwks_url="https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
        ),
        "authentik": Preset(
            title="authentik",
            # The second is of a provider whose issuer mode is the same for all of them.
            issuer=r"https?://[^/]+(?:/[^/]+)*/application/o/[^/]+/|https?://[^/]+/",
            form="https://HOST/application/o/APPLICATION/",
            mistakes=(Mistake(r".*/application/o/[^/]+|https?://[^/]+", _SLASH_MISSING, _ADD_SLASH),),
            scopes=("scope",),
            types=("JWT", *_ACCESS),
            # Both kinds have the client's id as audience, and an access token has the `nonce` of its login, too.
            never=("at_hash",),
            always=("azp",),
        ),
        "zitadel": Preset(
            title="Zitadel",
            host=r"[a-z0-9-]+(?:\.[a-z0-9]+)?\.zitadel\.cloud",
            issuer=r"https?://[^/]+",
            form="https://HOST",
            mistakes=(Mistake(r"https?://[^/]+/", _SLASH_TOO_MANY, _REMOVE_SLASH),),
            scopes=("scope",),
            types=("JWT", *_ACCESS),
            never=_ID_TOKENS_ONLY,
        ),
        "hydra": Preset(
            title="Ory Hydra",
            host=r"[a-z0-9-]+\.projects\.oryapis\.com",
            issuer=r"https?://.+",
            form="https://HOST/",
            # `strategies.jwt.scope_claim` decides which of them there is: a list, a string, or both.
            scopes=("scp", "scope"),
            types=("JWT", *_ACCESS),
            never=_ID_TOKENS_ONLY,
        ),
    }
)
"""Presets by their name in `preset`."""


def find_preset(name: str | None, issuer: str) -> Preset | None:
    """Return the preset that an entry names, or else the preset of its issuer's host, or `None`."""
    if name is not None:
        return PRESETS.get(name)
    return next((preset for preset in PRESETS.values() if preset.recognises(issuer)), None)
