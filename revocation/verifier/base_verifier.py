"""What all verifiers have in common, wherever they find entries.

`Verifier` keeps a replica and answers immediately; `RemoteVerifier` reads the region's
store for each check. Both turn a token into a verdict here, and nowhere else.
"""

import abc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from revocation.claims.claim_sets import ClaimReader
from revocation.claims.claims import (
    Claims,
    Rules,
    Token,
    name_claims,
    name_resources,
    read_token,
)
from revocation.clock import now_ms
from revocation.decision import (
    DEFAULT_POLICIES,
    Beyond,
    Found,
    Freshness,
    Reason,
    StalenessPolicy,
    Verdict,
    decide,
)
from revocation.entries import Kind, Target, UnixMs, Version
from revocation.errors import SettingsError, StoreColdError
from revocation.jwt.authenticator import Authenticated, Refusal
from revocation.jwt.trust import DEFAULT_TOKEN_BYTES
from revocation.lifecycle import Composite
from revocation.receipts import Receipt, wait_applied
from revocation.store.contract import StoreReader
from revocation.verifier.fallback import CheckRequest, Fallback
from revocation.verifier.reporting.rejection_reporter import RejectionReporter
from revocation.verifier.reporting.verdict_counter import VerdictCounter
from revocation.verifier.tokens import Tokens
from revocation.verifier.verification import Verification

_BEHIND: Final = frozenset({Reason.STALE, Reason.NOT_READY})


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierParts:
    """The parts of a verifier.

    `store`: the region's. `rules`: the installation's requirements of its tokens.
    `policies`: the staleness policy of each route class. `region`: its name, for
    metrics. `tokens`: for `verify`; without it only claims can be checked. `fallback`:
    asked where a policy says `introspect`. `reporter`: notified of each use of a
    revoked token.
    """

    store: StoreReader
    rules: Rules
    policies: Mapping[str, StalenessPolicy] = field(
        default_factory=lambda: DEFAULT_POLICIES
    )
    region: str = "local"
    tokens: Tokens | None = None
    fallback: Fallback | None = None
    reporter: RejectionReporter | None = None


LookupResult = tuple[Token | str, Found, Freshness]
"""A token with everything that was looked up for it, or its fault; the entries found;
and their freshness."""


class BaseVerifier(Composite, abc.ABC):
    """Turns tokens into verdicts. An async context manager."""

    def __init__(self, parts: VerifierParts) -> None:
        """Prepare; nothing connects yet."""
        super().__init__()
        self.rules = parts.rules
        # Claim sets are read separately, only where entries about claims exist.
        self._plain_rules = replace(parts.rules, revocable_claims=())
        sets = parts.rules.revocable_claims
        self._claim_reader = ClaimReader(sets) if sets else None
        self.region = parts.region
        self._store = parts.store
        self._policies = parts.policies
        self._tokens = parts.tokens
        self._fallback = parts.fallback
        beside = (parts.tokens and parts.tokens.keys, parts.fallback, parts.reporter)
        self._parts += [part for part in beside if part is not None]
        trusts = parts.tokens and parts.tokens.authenticator.trusts
        routes, reporter = parts.policies, parts.reporter
        self._counter = VerdictCounter(routes, trusts=trusts, reporter=reporter)

    @property
    def max_token_bytes(self) -> int:
        """The maximum length of a token: the largest limit of any issuer."""
        if self._tokens is None:
            return DEFAULT_TOKEN_BYTES
        return self._tokens.authenticator.max_token_bytes

    async def stop(self) -> None:
        """Disconnect; may be called twice. Checks still get answers, ever staler."""
        await super().stop()
        await self._store.stop()
        self._counter.flush()

    # Asking --------------------------------------------------------------------------

    async def check_async(
        self,
        claims: Claims,
        *,
        route: str = "read",
        resources: Sequence[str] = (),
        kid: str | None = None,
        introspect: bool = True,
    ) -> Verdict:
        """Return whether a token with these claims still counts.

        Where the policy of the route class says `introspect` and the region is behind,
        this asks the fallback, within its time limit.

        Args:
            claims: the token's claims set, its signature verified.
            route: the route class, `read` or `write` or one of your policies.
            resources: what the request touches, each `type:id`.
            kid: the `kid` of the token's header, to detect a revoked key.
            introspect: whether to ask the fallback; False when answering as one.

        Raises:
            SettingsError: there is no policy for the route class.
        """
        policy = self._policy(route)
        token = read_token(claims, self._plain_rules, kid=kid, resources=resources)
        token, found, freshness = await self._look_up(token, claims)
        verdict = self._decide(token, found, freshness, policy)
        if verdict.active and not verdict.stale:
            self._counter.count(verdict, route, token)
            return verdict
        request = CheckRequest(claims, kid, resources, None, route)
        return await self._settle(
            verdict, token, request, policy, introspect=introspect
        )

    async def verify_async(
        self, token: str, *, route: str = "read", resources: Sequence[str] = ()
    ) -> Verification:
        """Return whether a compact JWT is genuine, meant for us, and still counts.

        A key that is unknown, or may have been replaced by its issuer, is fetched
        first, unless the issuer was asked recently.

        Args:
            token: the JWT in compact form (RFC 7515 section 7.1).
            route: as for `check_async`.
            resources: as for `check_async`.

        Raises:
            SettingsError: no issuers are configured, or the route class is unknown.
        """
        outcome = await self._require_tokens().authenticate(token, self._now)
        if isinstance(outcome, Refusal):
            return self._refuse(outcome, route)
        claims, kid, policy = outcome.claims, outcome.kid, self._policy(route)
        read = self._token(outcome, resources)
        read, found, freshness = await self._look_up(read, claims)
        verdict = self._decide(read, found, freshness, policy)
        request = CheckRequest(claims, kid, resources, token, route)
        verdict = await self._settle(verdict, read, request, policy)
        return Verification(verdict, claims, kid)

    async def current_version(self, issuer: str, user: str) -> Version:
        """Return a user's version from the region's store; 0 if never revoked.

        An issuer puts it into the `ver` claim of new tokens.

        Raises:
            StoreUnavailableError: retry later.
            StoreColdError: the region is not complete; retry later.
        """
        target = Target(Kind.USER, issuer, user)
        answer = await self._store.find([target])
        if not answer.freshness.ready:
            raise StoreColdError(
                f"the region {self.region} is not complete, so the version is unknown; "
                "retry later, or ask another region"
            )
        entry = answer.found.get(target)
        return Version(0) if entry is None else entry.version

    async def wait_applied(
        self, receipts: Iterable[Receipt], *, timeout_seconds: float = 10.0
    ) -> float:
        """Wait until the region's store has applied events; returns the ms it took.

        Raises:
            NotAppliedError: not within the time limit.
        """
        readers = {self.region: self._store}
        took = await wait_applied(receipts, readers, timeout_seconds=timeout_seconds)
        return took[self.region]

    # Steps ---------------------------------------------------------------------------

    @abc.abstractmethod
    async def _look_up(self, token: Token | str, claims: Claims) -> LookupResult:
        """Look a token up; for a fault, return only the freshness."""

    def _name_claims(self, token: Token | str, claims: Claims) -> Token | str:
        """Return the token with its values of claim sets, or a fault."""
        reader = self._claim_reader
        if reader is None or isinstance(token, str):
            return token
        return name_claims(token, claims, reader)

    @abc.abstractmethod
    def _freshness(self) -> Freshness:
        """Return the latest freshness, without any request."""

    def _decide(
        self,
        token: Token | str,
        found: Found,
        freshness: Freshness,
        policy: StalenessPolicy,
    ) -> Verdict:
        skew_ms = self._clock_skew_ms()
        return decide(
            token,
            found,
            freshness,
            policy=policy,
            rules=self.rules,
            now=now_ms(skew_ms),
            skew_ms=skew_ms,
        )

    async def _settle(
        self,
        verdict: Verdict,
        token: Token | str,
        request: CheckRequest,
        policy: StalenessPolicy,
        *,
        introspect: bool = True,
    ) -> Verdict:
        """Return the final verdict: the fallback's, if needed and available."""
        asks = introspect and policy.beyond is Beyond.INTROSPECT
        if asks and self._fallback is not None and verdict.reason in _BEHIND:
            answer = await self._fallback.ask(
                request,
                policy=policy,
                rules=self.rules,
                now=self._now,
                skew_ms=self._clock_skew_ms(),
            )
            verdict = verdict if answer is None else answer
        self._counter.count(verdict, request.route, token)
        if verdict.reason is Reason.KEY_REVOKED and request.kid is not None:
            self._drop_key(request.claims["iss"], request.kid)
        return verdict

    def _refuse(self, refusal: Refusal, route: str) -> Verification:
        reason, detail, issuer = refusal
        keys = self._require_tokens().keys
        if reason is Reason.KEY_UNKNOWN and issuer and keys.unread(issuer):
            reason, detail = Reason.NOT_READY, "no key of the issuer could be read"
        policy, as_of = self._policy(route), self._freshness().as_of
        staleness = max(0, self._now() - as_of)
        stale = staleness > policy.fresh_ms
        verdict = Verdict(*(False, reason, as_of, staleness, stale, None, detail))
        self._counter.count(verdict, route)
        return Verification(verdict)

    @staticmethod
    def _token(outcome: Authenticated, resources: Sequence[str]) -> Token | str:
        return name_resources(outcome.token, resources) if resources else outcome.token

    def _drop_key(self, issuer: str, kid: str) -> None:
        if self._tokens is not None:
            self._tokens.drop_key(issuer, kid)

    def _policy(self, route: str) -> StalenessPolicy:
        policy = self._policies.get(route)
        if policy is None:
            known = ", ".join(sorted(self._policies))
            raise SettingsError(f"no policy for route class {route!r}; known: {known}")
        return policy

    def _require_tokens(self) -> Tokens:
        if self._tokens is None:
            raise SettingsError(
                "no issuers are configured, so no token can be verified; set "
                "REVOCATION_ISSUERS, or verify the signature yourself and use `check`"
            )
        return self._tokens

    def _now(self) -> UnixMs:
        return now_ms(self._clock_skew_ms())

    @abc.abstractmethod
    def _clock_skew_ms(self) -> int:
        """Return the difference between our clock and the region's, 0 or more."""
