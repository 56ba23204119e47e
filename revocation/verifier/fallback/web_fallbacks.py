"""Asking another region's sidecar, or the token's issuer: two ways to a verdict.

An answer is taken word by word or not at all; what says that a token counts is judged
again here, by our own clock, rules and policy.
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

ASK_NOBODY_ELSE: Final = ("max-forwards", "0")
"""Tells a sidecar not to use a fallback of its own: two could ask each other for ever.

RFC 9110 section 7.6.2 has the field for other methods, with this meaning.
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
            allow_plain_http: also where the host is not this machine.
            ca_file: certificates to trust, as PEM, instead of the usual ones.
            timeout_ms: the longest that `ask` takes.
            max_concurrent: how many questions are under way at once.

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

    async def _answer(self, question: CheckRequest, terms: Terms) -> Verdict | None:
        alone = terms.judge(question, terms.now())
        if not alone.active:
            # Wrong whatever the log holds. So what is sent is sound.
            return alone
        body = {
            "claims": _needed(question, terms.rules),
            "kid": question.kid,
            "route": question.route,
            "resources": list(question.resources),
        }
        name, value = ASK_NOBODY_ELSE
        headers = {"content-type": "application/json", name: value}
        # Verified claims have objects that cannot be changed, which are no dicts.
        content = json.dumps(body, allow_nan=False, default=dict).encode()
        return _read_verdict(await self.post(content, headers), question, terms)


class IssuerFallback(PostingSource):
    """Asks the token's issuer whether it is active (RFC 7662).

    The issuer knows what it revoked itself, as of now, and nothing of what others
    published: use this where the issuer is where revocations come from. It does not
    know what became of data, so a check that names resources gets no answer. Its answer
    `active: false` may also mean that this client may not ask about the token (RFC 7662
    section 2.2).
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
            client_id: ours, as the issuer registered it.
            client_secret: for HTTP Basic (RFC 6749 section 2.3.1).
            issuer: the `iss` of the tokens that are sent there, and no others.
            allow_plain_http: also where the host is not this machine.
            ca_file: certificates to trust, as PEM, instead of the usual ones.
            timeout_ms: the longest that `ask` takes.
            max_concurrent: how many questions are under way at once.

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

    async def _answer(self, question: CheckRequest, terms: Terms) -> Verdict | None:
        claims, token = question.claims, question.token
        asked_at = terms.now()
        alone = terms.judge(question, asked_at)
        if not alone.active:
            return alone
        # Another issuer could use the token that it is shown.
        if token is None or question.resources or claims["iss"] != self._issuer:
            return None
        form = urlencode({"token": token, "token_type_hint": "access_token"})
        answer = await self.post(form.encode(), self._headers)
        if answer.get("active") is False:
            return _reject(Reason.INTROSPECTION_INACTIVE, asked_at, terms)
        if answer.get("active") is not True:
            raise ValueError("its answer does not say whether the token is active")
        if not _is_about(answer, claims):
            raise ValueError("its answer is about another token")
        return terms.judge(question, asked_at)


# Questions ----------------------------------------------------------------------------


def _needed(question: CheckRequest, rules: Rules) -> dict[str, Any]:
    """Return the claims that a check needs: others are nobody's business.

    Of a token that nothing is wrong with, so that all of it can be read.
    """
    claims = question.claims
    members = rules.names_of(claims["iss"]).members
    needed = {name: claims[name] for name in sorted(members & claims.keys())}
    return {**claim_reader(rules.revocable_claims).pick(claims), **needed}


# Answers ------------------------------------------------------------------------------


def _read_verdict(
    answer: Mapping[str, Any], question: CheckRequest, terms: Terms
) -> Verdict:
    """Rebuild a verdict from `Verdict.to_json`; members that are new are ignored."""
    active, code, as_of = (answer.get(key) for key in ("active", "reason", "as_of"))
    if type(active) is not bool or type(as_of) is not int:
        raise ValueError("its answer is no verdict")
    if not 0 <= as_of <= _LATEST_MS or code not in _CODES:
        raise ValueError("its answer has a time or a reason that does not exist")
    reason = Reason(code)
    # By its policy, which may tolerate more than ours or say `allow`.
    if reason is Reason.ACTIVE and active:
        return terms.judge(question, UnixMs(as_of))
    if active or reason is Reason.ACTIVE:
        raise ValueError("its answer contradicts itself")
    entry = _read_entry(reason, answer.get("receipt"), question, terms.rules)
    return _reject(reason, UnixMs(as_of), terms, entry)


_CODES: Final = frozenset(Reason)


def _read_entry(
    reason: Reason, receipt: Any, question: CheckRequest, rules: Rules
) -> Entry | None:
    """Return what rejects, as far as it was told.

    Nothing, where it could be one of several: a token may name two clients.
    """
    if receipt is None or reason not in REJECTING:
        return None
    place = _RECEIPT.fullmatch(receipt) if isinstance(receipt, str) else None
    if place is None:
        raise ValueError("its answer has a receipt that is none")
    kid, resources = question.kid, question.resources
    token = read_token(question.claims, rules, kid=kid, resources=resources)
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
    """Whether what an issuer says of a token fits the one that was shown."""
    for name in ("iss", "sub", "jti"):
        # A token without an id may have one where it was issued.
        if name in answer and name in claims and answer[name] != claims[name]:
            return False
    told = answer.get("exp", claims["exp"])
    # RFC 7662 has whole seconds, a token may have fractions.
    return type(told) in (int, float) and int(told) == int(claims["exp"])
