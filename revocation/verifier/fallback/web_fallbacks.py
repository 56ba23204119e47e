"""Asks another region's sidecar or the token's issuer for a verdict.

Answers are parsed strictly; one that accepts a token is judged again here, by our own
clock, rules and policy.
"""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote_plus, urlencode

from revocation.claims.claim_sets import claim_reader
from revocation.claims.claims import Rules, read_token
from revocation.decision import REJECTING, Reason, Verdict
from revocation.entries import Entry, Offset, Position, Target, UnixMs
from revocation.verifier.fallback.fallback_source import (
    MAX_CONCURRENT,
    TIMEOUT_MS,
    CheckRequest,
    Terms,
)
from revocation.verifier.fallback.posting import PostingSource

NO_FORWARDING: Final = ("max-forwards", "0")
"""Keeps a sidecar from using a fallback of its own: two could ask each other forever.

RFC 9110 section 7.6.2 defines the field for other methods, with this meaning.
"""

_RECEIPT: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,16})")
_LATEST_MS: Final = 253_402_300_799_999


class SidecarFallback(PostingSource):
    """Asks a sidecar of another region, which must be fresh enough itself."""

    name: ClassVar[str] = "sidecar"

    def __init__(
        self,
        url: str,
        *,
        allow_plain_http: bool = False,
        ca_file: Path | None = None,
        timeout_ms: int = TIMEOUT_MS,
        max_concurrent: int = MAX_CONCURRENT,
    ) -> None:
        """Prepare; `start` opens a pool of connections.

        Args:
            url: of the sidecar, without a path of its own: `https://sidecar.us.example`.
            allow_plain_http: allow http even to other machines.
            ca_file: certificates to trust, as PEM, instead of the default ones.
            timeout_ms: the maximum duration of `ask`.
            max_concurrent: how many requests may be in flight at once.

        Raises:
            SettingsError: the URL cannot be used, or `httpx` is missing.
        """
        super().__init__(
            url.rstrip("/") + "/v1/check",
            allow_plain_http=allow_plain_http,
            ca_file=ca_file,
            timeout_ms=timeout_ms,
            max_concurrent=max_concurrent,
        )

    async def _answer(self, request: CheckRequest, terms: Terms) -> Verdict | None:
        alone = terms.judge(request, terms.now())
        if not alone.active:
            # Invalid whatever the log holds. So what is sent below is well-formed.
            return alone
        body = {
            "claims": _needed(request, terms.rules),
            "kid": request.kid,
            "route": request.route,
            "resources": list(request.resources),
        }
        name, value = NO_FORWARDING
        headers = {"content-type": "application/json", name: value}
        # Verified claims hold immutable mappings, which `json` does not know.
        content = json.dumps(body, allow_nan=False, default=dict).encode()
        return _read_verdict(await self.post(content, headers), request, terms)


class IssuerFallback(PostingSource):
    """Asks the token's issuer whether it is active (RFC 7662).

    The issuer knows its own revocations, up to now, but none that others published: use
    this where revocations come from the issuer. It knows nothing about resources, so a
    check that names some gets no answer. `active: false` may also mean that this client
    may not introspect the token (RFC 7662 section 2.2).
    """

    name: ClassVar[str] = "issuer"

    def __init__(  # noqa: PLR0913 - one keyword for each limit
        self,
        introspection_url: str,
        client_id: str,
        client_secret: str,
        *,
        issuer: str,
        allow_plain_http: bool = False,
        ca_file: Path | None = None,
        timeout_ms: int = TIMEOUT_MS,
        max_concurrent: int = MAX_CONCURRENT,
    ) -> None:
        """Prepare; `start` opens a pool of connections.

        Args:
            introspection_url: the issuer's endpoint (RFC 7662 section 2).
            client_id: ours, as registered with the issuer.
            client_secret: for HTTP Basic (RFC 6749 section 2.3.1).
            issuer: the `iss` of tokens to send there; no others are sent.
            allow_plain_http: allow http even to other machines.
            ca_file: certificates to trust, as PEM, instead of the default ones.
            timeout_ms: the maximum duration of `ask`.
            max_concurrent: how many requests may be in flight at once.

        Raises:
            SettingsError: the URL cannot be used, or `httpx` is missing.
        """
        super().__init__(
            introspection_url,
            allow_plain_http=allow_plain_http,
            ca_file=ca_file,
            timeout_ms=timeout_ms,
            max_concurrent=max_concurrent,
        )
        self._issuer = issuer
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        self._headers = {
            "authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "content-type": "application/x-www-form-urlencoded",
        }

    async def _answer(self, request: CheckRequest, terms: Terms) -> Verdict | None:
        claims, token = request.claims, request.token
        sent_at = terms.now()
        alone = terms.judge(request, sent_at)
        if not alone.active:
            return alone
        # Another issuer could misuse a token sent to it.
        if token is None or request.resources or claims["iss"] != self._issuer:
            return None
        form = urlencode({"token": token, "token_type_hint": "access_token"})
        answer = await self.post(form.encode(), self._headers)
        if answer.get("active") is False:
            return _reject(Reason.INTROSPECTION_INACTIVE, sent_at, terms)
        if answer.get("active") is not True:
            raise ValueError("its answer does not say whether the token is active")
        if not _is_about(answer, claims):
            raise ValueError("its answer is about another token")
        return terms.judge(request, sent_at)


# Requests -----------------------------------------------------------------------------


def _needed(request: CheckRequest, rules: Rules) -> dict[str, Any]:
    """Return only the claims that a check needs, for privacy.

    The token must be free of faults, so that all of it can be read.
    """
    claims = request.claims
    members = rules.names_of(claims["iss"]).members
    needed = {name: claims[name] for name in sorted(members & claims.keys())}
    return {**claim_reader(rules.revocable_claims).pick(claims), **needed}


# Answers ------------------------------------------------------------------------------


def _read_verdict(
    answer: Mapping[str, Any], request: CheckRequest, terms: Terms
) -> Verdict:
    """Rebuild a verdict from `Verdict.to_json`; unknown members are ignored."""
    active, code, as_of = (answer.get(key) for key in ("active", "reason", "as_of"))
    if type(active) is not bool or type(as_of) is not int:
        raise ValueError("its answer is not a verdict")
    if not 0 <= as_of <= _LATEST_MS or code not in _CODES:
        raise ValueError("its answer has an invalid time or reason")
    reason = Reason(code)
    # Its policy may tolerate more than ours, or say `allow`.
    if reason is Reason.ACTIVE and active:
        return terms.judge(request, UnixMs(as_of))
    if active or reason is Reason.ACTIVE:
        raise ValueError("its answer contradicts itself")
    entry = _read_entry(reason, answer.get("receipt"), request, terms.rules)
    return _reject(reason, UnixMs(as_of), terms, entry)


_CODES: Final = frozenset(Reason)


def _read_entry(
    reason: Reason, receipt: Any, request: CheckRequest, rules: Rules
) -> Entry | None:
    """Return the rejecting entry, as far as the answer identifies it.

    None if several targets match: a token may name two clients.
    """
    if receipt is None or reason not in REJECTING:
        return None
    place = _RECEIPT.fullmatch(receipt) if isinstance(receipt, str) else None
    if place is None:
        raise ValueError("its answer has an invalid receipt")
    kid, resources = request.kid, request.resources
    token = read_token(request.claims, rules, kid=kid, resources=resources)
    named: set[Target] = set() if isinstance(token, str) else set(token.targets())
    meant = [target for target in named if target.kind is REJECTING[reason]]
    if not meant:
        raise ValueError("its answer is about something that the token does not name")
    if len(meant) > 1:
        return None
    partition, offset = map(int, place.groups())
    return Entry(meant[0], Position(partition, Offset(offset), UnixMs(0)))


def _reject(
    reason: Reason, as_of: UnixMs, terms: Terms, entry: Entry | None = None
) -> Verdict:
    staleness = max(0, terms.now() - as_of)
    stale = staleness > terms.policy.fresh_ms
    return Verdict(False, reason, as_of, staleness, stale, entry)  # noqa: FBT003 - a field


def _is_about(answer: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    """Return whether an issuer's answer matches the token that was sent."""
    for name in ("iss", "sub", "jti"):
        # The issuer may know an id that the token does not carry.
        if name in answer and name in claims and answer[name] != claims[name]:
            return False
    expiry = answer.get("exp", claims["exp"])
    # RFC 7662 has whole seconds, a token may have fractions.
    return type(expiry) in (int, float) and int(expiry) == int(claims["exp"])
