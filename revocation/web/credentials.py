"""Finds the token of a request, and decides whether it may be used. Pure.

A token comes in the `Authorization` header (RFC 6750 section 2.1) or, for browsers, in
one cookie whose name begins with `__Host-` (RFC 6265bis section 4.1.3.2); never in the
query or the body, where logs and caches find it (RFC 6750 section 5.3, RFC 9700 section
4.3.2). A browser sends the cookie with requests from any page, so an unsafe request
must also show that it comes from the service's own pages.

If both are present the header counts and the cookie is ignored, even if the header's
token is invalid. RFC 6750 section 2 forbids more than one *method* in a request, but a
cookie is not one of its three; a page's script cannot withhold it, and no foreign page
can set the header without CORS. A service that reads the cookie itself might act for
another user than the checked one; it must use the checked claims.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from string import ascii_letters, digits
from typing import Final, NamedTuple

from revocation.errors import SettingsError

Headers = Iterable[tuple[bytes, bytes]]
"""Names and values of header fields as in ASGI: the names in lower case."""

OTHER_COOKIES_BYTES: Final = 8_192
"""The maximum size of a request's cookies besides the token."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 section 9.2.1)."""

_PREFIX: Final = "__Host-"
# RFC 9110 section 5.6.2, which RFC 6265 uses for the name of a cookie.
_COOKIE_NAME: Final = re.compile(r"__Host-[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 6454 section 6.2 as browsers write it: no path, no default port, lower case.
_ORIGIN: Final = re.compile(
    r"(?:https://(?!.*:443$)|http://(?!.*:80$))"
    r"(?:\[[0-9a-f:]+\]|[0-9a-z._-]+)(?::[1-9][0-9]{0,4})?"
)
_TOKEN_CHARACTERS: Final = (ascii_letters + digits + "-._~+/").encode()
# A longer word is another scheme (RFC 9110 section 11.1); a tab is a malformed one.
_BEARER: Final = re.compile(
    rb"(?i:bearer)(?![!#$%&'*+\-.^_`|~0-9A-Za-z]) *(?P<token>.*)", re.DOTALL
)
_USUAL: Final = b"Bearer "
_SPACE: Final = b" \t"


class CredentialFault(StrEnum):
    """Why a request has no usable token. The codes are stable."""

    MISSING = "missing"
    """There is neither a Bearer header nor the cookie."""
    DUPLICATED = "duplicated"
    """There is more than one `Authorization` header or cookie of that name."""
    MALFORMED = "malformed"
    """The header's or cookie's value is not a `b64token` (RFC 6750 section 2.1)."""
    TOO_LARGE = "too_large"
    """The token or all cookies together exceed their limit."""
    CROSS_SITE = "cross_site"
    """A cookie, without evidence that the service's own pages made the request."""


class Credentials(NamedTuple):
    """The token of a request, or the reason that it has none; the other is None."""

    token: str | None
    fault: CredentialFault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRules:
    """Where a service accepts tokens.

    Attributes:
        cookie: the name of the cookie, beginning with `__Host-`; None for no cookie.
        own_origins: the origins of the service's pages, such as `https://app.example`.
            When empty it is `https://` and the request's own `Host`.
    """

    cookie: str | None = None
    own_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check.

        Raises:
            SettingsError: another host could set the cookie, or an origin is invalid.
        """
        if self.cookie is not None and _COOKIE_NAME.fullmatch(self.cookie) is None:
            raise SettingsError(
                f"the cookie's name {self.cookie!r} does not begin with {_PREFIX!r} or "
                "is not a token: without the prefix another host of the domain, or "
                "a plain HTTP answer, could set it; rename the cookie"
            )
        for origin in self.own_origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise SettingsError(
                    f"{origin!r} is not an origin; write it as browsers send it, such "
                    "as 'https://app.example': lower case, no path, no default port"
                )


BEARER_ONLY: Final = CredentialRules()


def find_credentials(
    method: str,
    headers: Headers,
    rules: CredentialRules = BEARER_ONLY,
    *,
    max_token_bytes: int,
    websocket: bool = False,
) -> Credentials:
    """Return the token to judge a request by. Never raises.

    Args:
        method: the request's method, in upper case; methods are case-sensitive.
        headers: the request's header fields, the names in lower case.
        rules: where the service accepts tokens.
        max_token_bytes: the verifier's limit.
        websocket: the request opens a WebSocket. It is a GET, but not safe: the
            same-origin policy lets foreign pages open one (RFC 6455 section 10.2).
    """
    fields = list(headers)
    authorizations = _values(fields, b"authorization")
    if len(authorizations) > 1:
        return Credentials(None, CredentialFault.DUPLICATED)
    if authorizations:
        if authorizations[0].startswith(_USUAL):
            value = authorizations[0][len(_USUAL) :].lstrip(b" ")
            return _read_token(value, max_token_bytes)
        match = _BEARER.fullmatch(authorizations[0])
        # Other schemes are ignored: a proxy's `Basic`, for instance.
        if match is not None:
            return _read_token(match["token"], max_token_bytes)
    if rules.cookie is None:
        return Credentials(None, CredentialFault.MISSING)
    found = _read_cookie(fields, rules.cookie.encode(), max_token_bytes)
    acts = websocket or method not in SAFE_METHODS
    if found.token is not None and acts and not _from_own_pages(fields, rules):
        return Credentials(None, CredentialFault.CROSS_SITE)
    return found


def _values(fields: Headers, name: bytes) -> list[bytes]:
    return [value.strip(_SPACE) for each, value in fields if each == name]


def _read_token(value: bytes, max_bytes: int) -> Credentials:
    if len(value) > max_bytes:
        return Credentials(None, CredentialFault.TOO_LARGE)
    # RFC 6750 section 2.1: only these characters, then optional `=`.
    padding = value.translate(None, _TOKEN_CHARACTERS)
    if padding.strip(b"=") or not value.endswith(padding) or len(padding) == len(value):
        return Credentials(None, CredentialFault.MALFORMED)
    return Credentials(value.decode("ascii"), None)


def _read_cookie(fields: Headers, name: bytes, max_token_bytes: int) -> Credentials:
    # HTTP/2 may split the field; joined again it is one list (RFC 9113 section 8.2.3).
    cookies = b";".join(_values(fields, b"cookie"))
    if len(cookies) > max_token_bytes + OTHER_COOKIES_BYTES:
        return Credentials(None, CredentialFault.TOO_LARGE)
    found = []
    for cookie in cookies.split(b";"):
        each, _, value = cookie.partition(b"=")
        if each.strip(_SPACE) == name:
            found.append(value.strip(_SPACE))
    if len(found) > 1:
        # A browser holds at most one, so one was planted, and it is unknown which.
        return Credentials(None, CredentialFault.DUPLICATED)
    if not found:
        return Credentials(None, CredentialFault.MISSING)
    return _read_token(found[0], max_token_bytes)


def _from_own_pages(fields: Headers, rules: CredentialRules) -> bool:
    """Return whether the browser states that the service's pages made the request.

    Scripts can set neither header. `Sec-Fetch-Site` (Fetch Metadata) accounts for
    redirects and schemes, so without configured origins it decides; `none`, sent for a
    user's own navigation, is no evidence for an unsafe request. Configured origins
    count as well, for pages on another host. Older browsers send no `Sec-Fetch-Site`;
    then `Origin` must be the requested host with https, as a `__Host-` cookie is never
    sent otherwise.
    """
    sites = _values(fields, b"sec-fetch-site")
    if sites == [b"same-origin"]:
        return True
    origins = _values(fields, b"origin")
    if len(origins) != 1:
        return False
    if rules.own_origins:
        return origins[0].decode("latin-1") in rules.own_origins
    hosts = _values(fields, b"host")
    if sites or len(hosts) != 1:
        return False
    host = hosts[0].lower().removesuffix(b":443")
    return bool(host) and origins[0] == b"https://" + host
