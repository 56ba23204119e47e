"""RFC 7662: token introspection for authenticated callers.

Unauthenticated callers learn nothing: without valid credentials they get the same 401,
byte for byte, before the form is read. A caller gets `{"active": false}` and nothing
more about any token that does not count. Only if the region is behind, the answer is
503, since `false` would end good sessions.

A file lists the callers, one a line, each with the digest of a generated secret:

    # echo "$(openssl rand -hex 32)" > secret; printf %s "$(cat secret)" | sha256sum
    warehouse sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

Two lines with one name both count, to replace a secret. Alternatively, callers present
a token of their own that counts and has the scope that the settings name.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Awaitable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote_plus

import orjson

from revocation import metrics
from revocation.claims.claim_names import ClaimNames
from revocation.claims.claims import Claims, NamesOf, find_client, usual_names
from revocation.errors import SettingsError
from revocation.http.messages import NO_STORE, Request, Response
from revocation.verifier import Verifier
from revocation.verifier.verification import Verification
from revocation.web.bearer import (
    MEANINGS,
    Meaning,
    Refusals,
    check_scopes,
    granted_scopes,
    lacks_scopes,
)
from revocation.web.credentials import BEARER_ONLY, find_credentials

FORM: Final = b"application/x-www-form-urlencoded"
MEMBERS: Final = ("iss", "sub", "aud", "exp", "iat", "nbf", "jti")
"""The claims of an active token to return unchanged (RFC 7662 section 2.2)."""
_TIMES: Final = ("exp", "iat", "nbf")

_LINE: Final = re.compile(r"(?P<name>\S+)\s+sha256:(?P<digest>[0-9a-f]{64})")
_BASIC: Final = re.compile(rb"(?i:basic) +([A-Za-z0-9+/]+=*)")
_MAX_CREDENTIALS: Final = 2_048
MAX_FIELDS: Final = 64
_JSON: Final = ("content-type", "application/json")
_INACTIVE: Final = Response(200, (_JSON, NO_STORE), b'{"active":false}')


class Caller(NamedTuple):
    """A caller's digests, so that comparing takes the same time for all names."""

    name: bytes
    secret: bytes


def read_callers(path: Path) -> tuple[Caller, ...]:
    """Return the callers listed in a file.

    Raises:
        SettingsError: the file cannot be read, or a line is wrong; names its number,
            and does not quote it.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the callers in {path}: {error}") from None
    callers = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise SettingsError(
                f"{path.name}:{number}: write `name sha256:` and the 64 hexadecimal "
                "digits of the secret's SHA-256"
            )
        name = sha256(match["name"].encode()).digest()
        callers.append(Caller(name, bytes.fromhex(match["digest"])))
    return tuple(callers)


class Introspection:
    """Answers RFC 7662 requests."""

    def __init__(  # noqa: PLR0913 - one keyword for each limit
        self,
        verifier: Verifier,
        *,
        callers: Sequence[Caller] = (),
        scope: str | None = None,
        route: str = "read",
        realm: str = "introspection",
        names_of: NamesOf = usual_names,
    ) -> None:
        """Prepare.

        Args:
            verifier: a `Verifier` with issuers.
            callers: those that may introspect with a name and a secret.
            scope: callers whose token has it may introspect. None: no token suffices.
            route: the route class whose policy answers.
            realm: in challenges.
            names_of: the claim names of each issuer; those of the verifier's rules.

        Raises:
            SettingsError: there are no callers and no scope, or the scope is invalid.
        """
        if not callers and scope is None:
            raise SettingsError("no caller may introspect; name callers or a scope")
        check_scopes(() if scope is None else (scope,))
        self._verifier = verifier
        self._names_of = names_of
        self._callers = tuple(callers)
        self._scope = scope
        self._route = route
        refusals = Refusals(realm=realm)
        self._retry_after = ("retry-after", str(refusals.retry_after_seconds))
        challenges = []
        if callers:
            challenges.append(("www-authenticate", f'Basic realm="{realm}"'))
        if scope is not None:
            challenges.append(("www-authenticate", f'Bearer realm="{realm}"'))
        self._stranger = _error(401, "invalid_client", *challenges)

    def answer(self, request: Request) -> Response | Awaitable[Response]:
        """Return the answer to a POST."""
        given = [value for name, value in request.headers if name == b"authorization"]
        if len(given) != 1:
            return self._refuse()
        if _BASIC.match(given[0].strip()) is not None:
            allowed = self._knows(given[0].strip())
            return self._introspect(request) if allowed else self._refuse()
        most = self._verifier.max_token_bytes
        token = find_credentials(
            "POST", request.headers, BEARER_ONLY, max_token_bytes=most
        ).token
        if token is None or self._scope is None:
            return self._refuse()
        caller = self._verifier.verify_or_await(token, route=self._route)
        if isinstance(caller, Verification):
            refusal = self._reject(caller)
            return self._introspect(request) if refusal is None else refusal
        return self._wait_for_caller(caller, request)

    # The caller ----------------------------------------------------------------------

    def _knows(self, authorization: bytes) -> bool:
        """Return whether name and secret match a caller, in constant time."""
        known = False
        for pair in _read_basic(authorization):
            name, secret = (sha256(each.encode()).digest() for each in pair)
            for caller in self._callers:
                same = hmac.compare_digest(name, caller.name)
                # Not `and`: the second comparison must not depend on the first.
                known |= same & hmac.compare_digest(secret, caller.secret)
        return known

    def _reject(self, caller: Verification) -> Response | None:
        """Return the refusal of a caller's token, or None."""
        assert self._scope is not None  # noqa: S101 - checked before it was verified
        if lacks_scopes(caller.claims, (self._scope,)):
            return self._refuse()
        if caller.verdict.active:
            return None
        behind = MEANINGS[caller.verdict.reason] is Meaning.BEHIND
        return self._behind() if behind else self._refuse()

    async def _wait_for_caller(
        self, caller: Awaitable[Verification], request: Request
    ) -> Response:
        refusal = self._reject(await caller)
        if refusal is not None:
            return refusal
        answer = self._introspect(request)
        return answer if isinstance(answer, Response) else await answer

    def _refuse(self) -> Response:
        metrics.INTROSPECTION_ANSWERS.labels("refused").inc()
        return self._stranger

    # The token -----------------------------------------------------------------------

    def _introspect(self, request: Request) -> Response | Awaitable[Response]:
        token = _read_token(request)
        if token is None:
            return _error(400, "invalid_request")
        outcome = self._verifier.verify_or_await(token, route=self._route)
        if isinstance(outcome, Verification):
            return self._respond(outcome)
        return self._wait_for_token(outcome)

    async def _wait_for_token(self, outcome: Awaitable[Verification]) -> Response:
        return self._respond(await outcome)

    def _respond(self, outcome: Verification) -> Response:
        verdict, claims, _ = outcome
        if verdict.active and claims is not None:
            metrics.INTROSPECTION_ANSWERS.labels("active").inc()
            answer = describe(claims, self._names_of(claims.get("iss")))
            return Response(200, (_JSON, NO_STORE), orjson.dumps(answer))
        if not verdict.active and MEANINGS[verdict.reason] is Meaning.BEHIND:
            return self._behind()
        metrics.INTROSPECTION_ANSWERS.labels("inactive").inc()
        return _INACTIVE

    def _behind(self) -> Response:
        metrics.INTROSPECTION_ANSWERS.labels("behind").inc()
        return _error(503, "temporarily_unavailable", self._retry_after)


def describe(claims: Claims, claim_names: ClaimNames) -> dict[str, Any]:
    """Return the answer about an active token: a closed list of members."""
    members: dict[str, Any] = {"active": True, "token_type": "Bearer"}
    members |= {name: claims[name] for name in MEMBERS if _is_well_formed(name, claims)}
    scopes = granted_scopes(claims)
    if scopes:
        members["scope"] = " ".join(scopes)
    client = find_client(claims, claim_names)
    if client is not None:
        members["client_id"] = client
    return members


def _is_well_formed(name: str, claims: Claims) -> bool:
    """Return whether a claim has the form of RFC 7519: unused claims may not."""
    value = claims.get(name)
    if name in _TIMES:
        return value is not None
    texts = value if name == "aud" and isinstance(value, list | tuple) else (value,)
    return all(isinstance(each, str) for each in texts)


def _read_basic(authorization: bytes) -> tuple[tuple[str, str], ...]:
    """Return name and secret in both readings, or nothing.

    OAuth clients encode both like a form (RFC 6749 section 2.3.1); `curl -u` and other
    HTTP clients send them unencoded (RFC 7617). There are always two readings, even if
    they are the same, so that the time reveals nothing.
    """
    match = _BASIC.fullmatch(authorization)
    if match is None or len(authorization) > _MAX_CREDENTIALS:
        return ()
    try:
        text = base64.b64decode(match[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ()
    name, colon, secret = text.partition(":")
    if not colon:
        return ()
    return (name, secret), (unquote_plus(name), unquote_plus(secret))


def _read_token(request: Request) -> str | None:
    """Return the form's `token` (RFC 7662 section 2.1); other fields are ignored."""
    kinds = [value for name, value in request.headers if name == b"content-type"]
    if len(kinds) != 1 or kinds[0].partition(b";")[0].strip().lower() != FORM:
        return None
    try:
        fields = parse_qsl(
            request.body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        return None
    found = [value for name, value in fields if name == "token"]
    return (found[0] or None) if len(found) == 1 else None


def _error(status: int, code: str, *headers: tuple[str, str]) -> Response:
    """Return an error in the form of RFC 6749 section 5.2."""
    fields = (_JSON, NO_STORE, *headers)
    return Response(status, fields, orjson.dumps({"error": code}))
