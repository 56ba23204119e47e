"""Decides whether a proxy may forward a request, whatever its protocol. No IO.

    authorizer = Authorizer(verifier, rules_file, steps=steps)
    answer = authorizer.authorize(request)

The answer is immediate whenever memory has it; it is awaitable only if a key must be
fetched or the policy requires a fallback. `proxies.py` speaks the dialects of proxies
over HTTP, `ext_authz.py` Envoy's gRPC.

Identity headers tell the service who the caller is. Every answer that lets a request
pass sets or removes each of them, even if no token is needed, so that no client can
forge one. Neither tokens nor claims are ever logged.
"""

import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from operator import itemgetter
from string import ascii_lowercase, digits
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

from revocation import metrics
from revocation.claims.claim_names import find_claim, split_name
from revocation.claims.claims import NamesOf, find_client, usual_names
from revocation.errors import SettingsError
from revocation.sidecar.identity_cache import IdentityCache
from revocation.sidecar.rule_set import RuleSet
from revocation.verifier import Verifier
from revocation.verifier.verification import Verification
from revocation.web.access_guard import AccessPolicy
from revocation.web.bearer import AccessRefusal, granted_scopes
from revocation.web.credentials import Headers
from revocation.web.routes import WEBSOCKET, AccessNeeds

IDENTITY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "x-auth-subject": "sub",
        "x-auth-issuer": "iss",
        "x-auth-client": "client_id",
        "x-auth-scope": "scope",
    }
)
"""The identity headers, and the claim in each."""

# RFC 9110 section 5.1, without `_`: CGI and WSGI gateways read it as `-`.
_HEADER: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+")
_MAX_HEADERS: Final = 16
_MAX_DASHES: Final = 4
# Characters of a field value (RFC 9110 section 5.5), without `%`, which begins a code.
_PLAIN: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_AS_IT_IS: Final = re.compile(r"(?! )[\x20-\x24\x26-\x7e]*(?<! )")

_TAKEN: Final = frozenset(
    {
        *("content-length", "content-type", "transfer-encoding", "keep-alive"),
        *("cache-control", "www-authenticate", "retry-after"),
    }
)
# Gateways read other characters of a name as `-`: CGI and WSGI `_`, PHP also `.`, and
# lighttpd all of them. Usual names without these characters are empty.
_ODD: Final = re.compile(rb"[^a-z0-9\n]")
_USUAL: Final = f"{ascii_lowercase}{digits}-\n".encode()
_OK: Final = 200
_name_of: Final = itemgetter(0)


class AuthzRequest(NamedTuple):
    """The request that a proxy wants authorized.

    Attributes:
        method: as the client sent it.
        path: as the client sent it; the query is ignored.
        headers: the fields that the proxy shows, the names in lower case; `host` is
            the client's.
        host: requested by the client; informative.
        scheme: `https` or `http`; informative.
        websocket: whether it is, or looks like, the handshake of a WebSocket.
    """

    method: str
    path: str
    headers: Headers
    host: str = ""
    scheme: str = ""
    websocket: bool = False

    def __repr__(self) -> str:
        """Omit personal data, as logs and tracebacks show this."""
        return f"AuthzRequest(method={self.method!r})"


class AuthzAnswer(NamedTuple):
    """Whether the request may pass: only with status 200.

    Attributes:
        status: 200, or the status for the client (RFC 6750 section 3.1).
        headers_to_client: of the refusal.
        headers_to_upstream: replace those of the same name in the request.
        remove_from_upstream: names of headers to remove from the request.
        body: of the refusal.
    """

    status: int
    headers_to_client: tuple[tuple[str, str], ...] = ()
    headers_to_upstream: tuple[tuple[str, str], ...] = ()
    remove_from_upstream: tuple[str, ...] = ()
    body: bytes = b""


class Ruled(Protocol):
    """Holds rules that may change between requests: a `RulesFile`."""

    @property
    def current(self) -> RuleSet:
        """The rules in force."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityHeaders:
    """The identity headers that the service receives.

    Attributes:
        headers: names in lower case, with a dash, and the claim that each carries, as
            `claim_names` writes it. `scope` includes `scp`, and `client_id` the claims
            that name the client in an issuer's tokens.
        remove: further headers to hide from the service, such as `authorization`.
    """

    headers: Mapping[str, str] = field(default_factory=lambda: IDENTITY)
    remove: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check.

        Raises:
            SettingsError: a name is ambiguous or invalid.
        """
        if len(self.headers) > _MAX_HEADERS:
            raise SettingsError(f"{_MAX_HEADERS} identity headers at most")
        for name in self.headers:
            named = _HEADER.fullmatch(name) and name.count("-") <= _MAX_DASHES
            if not named or name in _TAKEN or name.startswith("x-envoy-"):
                raise SettingsError(
                    f"{name!r} cannot name an identity header; write lower-case "
                    "words joined by dashes, such as 'x-auth-subject'"
                )
        for claim in self.headers.values():
            try:
                split_name(claim)
            except ValueError as error:
                raise SettingsError(f"an identity header: {error}") from None
        for name in self.remove:
            if re.fullmatch(r"[a-z0-9-]+", name) is None or name == "host":
                raise SettingsError(
                    f"{name!r} cannot be removed; write it in lower case"
                )

    @property
    def lookalikes(self) -> frozenset[str]:
        """Names that CGI and WSGI would read as an identity header's."""
        spelled = (
            "".join(letters)
            for name in self.headers
            for letters in product(*[_SPELLED.get(each, each) for each in name])
        )
        return frozenset(spelled) - self.headers.keys()

    def values(
        self, claims: Mapping[str, Any] | None, names_of: NamesOf = usual_names
    ) -> list[tuple[str, str]]:
        """Return each header with its value; empty if the claim is missing."""
        if claims is None:
            return [(name, "") for name in self.headers]
        values = []
        for name, claim in self.headers.items():
            value = _claim(claims, claim, names_of)
            plain = type(value) is str and _AS_IT_IS.fullmatch(value) is not None
            values.append((name, value if plain else write_value(value)))
        return values


_SPELLED: Final = {"-": "-_"}
_SCOPE: Final = "scope"
_CLIENT: Final = "client_id"


class Authorizer:
    """Answers proxies. Its only state is the rules in force."""

    def __init__(
        self,
        verifier: Verifier,
        rules: Ruled,
        *,
        steps: AccessPolicy,
        identity: IdentityHeaders | None = None,
        names_of: NamesOf = usual_names,
    ) -> None:
        """Prepare.

        Args:
            verifier: a `Verifier` with issuers, started before the first request.
            rules: the requirements of paths.
            steps: where to look for tokens, and how to refuse.
            identity: the headers for the service; by default those of `IDENTITY`.
            names_of: the claim names of each issuer; those of the verifier's rules.
        """
        self._verifier = verifier
        self._rules = rules
        self._steps = steps
        self._identity = identity or IdentityHeaders()
        self._names_of = names_of
        self._remove = self._identity.remove
        self._names = frozenset(each.encode() for each in self._identity.headers)
        self._nobody = self._pass(None)
        self._passes = IdentityCache(self._pass)
        self._passed = metrics.Tally(metrics.AUTHZ_ANSWERS.labels(_OK))

    @property
    def lookalikes(self) -> frozenset[str]:
        """Headers to remove if a proxy does not show all that it forwards."""
        return self._identity.lookalikes

    def authorize(self, request: AuthzRequest) -> AuthzAnswer | Awaitable[AuthzAnswer]:
        """Return whether a request may pass, and how.

        Args:
            request: the request to authorize.

        Raises:
            SettingsError: the verifier knows no issuers.
        """
        method, target, headers, *_, websocket = request
        path = target.partition("?")[0]
        needs = self._rules.current.find(method, path, websocket=websocket)
        if needs is None:
            return self.refuse("The method or the path is not in canonical form")
        fields = list(headers)
        names = b"\n".join(map(_name_of, fields))
        if names.translate(None, _USUAL) and self._mistakable(names):
            return self.refuse("A header has the name of one that only the proxy sets")
        if needs.public:
            self._passed.count += 1
            return self._nobody
        token = self._steps.find_token(
            WEBSOCKET if websocket else method, fields, self._verifier.max_token_bytes
        )
        if isinstance(token, AccessRefusal):
            return _deny(token)
        outcome = self._verifier.verify_or_await(
            token, route=needs.route, resources=needs.resources
        )
        if isinstance(outcome, Verification):
            return self._conclude(outcome, needs)
        return self._wait(outcome, needs)

    def refuse(self, detail: str) -> AuthzAnswer:
        """Return the answer to a request that cannot be judged: 400.

        Args:
            detail: for people, without quotes, backslashes or content of the request.
        """
        return _deny(self._steps.refusals.invalid_request(detail))

    def _mistakable(self, names: bytes) -> bool:
        """Return whether a gateway would read one of the names, one a line, as ours."""
        read = zip(names.split(b"\n"), _ODD.sub(b"-", names).split(b"\n"), strict=True)
        return any(plain in self._names and plain != name for name, plain in read)

    async def _wait(
        self, outcome: Awaitable[Verification], needs: AccessNeeds
    ) -> AuthzAnswer:
        return self._conclude(await outcome, needs)

    def _conclude(self, verification: Verification, needs: AccessNeeds) -> AuthzAnswer:
        concluded = self._steps.conclude(verification, needs)
        if isinstance(concluded, AccessRefusal):
            return _deny(concluded)
        self._passed.count += 1
        claims = concluded.claims
        return self._nobody if claims is None else self._passes.of(claims)

    def _pass(self, claims: Mapping[str, Any] | None) -> AuthzAnswer:
        values = self._identity.values(claims, self._names_of)
        given = tuple([each for each in values if each[1]])
        absent: tuple[str, ...] = ()
        if len(given) < len(values):
            absent = tuple([name for name, value in values if not value])
        return AuthzAnswer(_OK, (), given, absent + self._remove)


def _deny(refusal: AccessRefusal) -> AuthzAnswer:
    metrics.AUTHZ_ANSWERS.labels(refusal.status).inc()
    headers = tuple([each for each in refusal.headers if each[0] != "content-length"])
    return AuthzAnswer(refusal.status, headers, body=refusal.body)


def _claim(claims: Mapping[str, Any], name: str, names_of: NamesOf) -> Any:
    if name == _SCOPE:
        return " ".join(granted_scopes(claims))
    if name == _CLIENT:
        return find_client(claims, names_of(claims.get("iss")))
    return find_claim(claims, name)


def write_value(value: Any) -> str:
    """Return a claim as a header field's value; empty if it has no such form.

    Printable ASCII stays unchanged. A value with anything else, or with a `%`, or with
    a space at an end, is percent-encoded UTF-8; so decoding restores the claim, and no
    two claims look the same. A list is its strings, each without spaces, separated by
    spaces.
    """
    if isinstance(value, str):
        return value if _AS_IT_IS.fullmatch(value) else _encode(value, _PLAIN)
    if isinstance(value, list | tuple) and _all_text(value):
        return " ".join(_encode(each, _PLAIN[1:]) for each in value)
    if type(value) is int:
        return str(value)
    return ""


def _encode(value: str, safe: str) -> str:
    encoded = quote(value, safe=safe, errors="replace")
    if encoded[:1] == " ":
        encoded = "%20" + encoded[1:]
    return encoded[:-1] + "%20" if encoded[-1:] == " " else encoded


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(each, str) for each in values)
