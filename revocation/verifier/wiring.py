"""Builds the parts of a verifier from its settings."""

from revocation.jwt.authenticator import Authenticator
from revocation.jwt.jwks import KeyRing
from revocation.settings import VerifierSettings
from revocation.store.batching_reader import BatchingReader
from revocation.store.layout import Layout
from revocation.store.redis_store import RedisStore
from revocation.verifier.base_verifier import VerifierParts
from revocation.verifier.fallback import (
    FirstOf,
    IssuerFallback,
    RegionFallback,
    SidecarFallback,
    Source,
)
from revocation.verifier.reporting.out_of_reach import log_out_of_reach
from revocation.verifier.reporting.rejection_reporter import RejectionReporter
from revocation.verifier.tokens import Tokens


def parts_from_settings(
    settings: VerifierSettings, *, coalesced: bool = False
) -> VerifierParts:
    """Return the parts, with a batching store reader if `coalesced`.

    Logs which tokens no event reaches.

    Raises:
        SettingsError: names what is missing or wrong.
    """
    store = RedisStore.from_settings(settings)
    log_out_of_reach(settings.rules)
    return VerifierParts(
        store=BatchingReader(store) if coalesced else store,
        rules=settings.rules,
        policies=settings.policies,
        region=settings.region,
        tokens=_tokens(settings),
        fallback=_fallback(settings),
        reporter=_reporter(settings),
    )


def _tokens(settings: VerifierSettings) -> Tokens | None:
    if not settings.issuers:
        return None
    keys = KeyRing(settings.issuers)
    return Tokens(Authenticator(settings.issuers, settings.rules, keys), keys)


def _fallback(settings: VerifierSettings) -> FirstOf | None:
    sources: list[Source] = []
    timeout_ms = settings.fallback_timeout_ms
    if settings.fallback_store_url is not None:
        store = RedisStore(
            settings.fallback_store_url,
            Layout(settings.store_prefix, settings.peppers),
            limits=settings.limits,
            tls=settings.tls,
        )
        skew = settings.max_clock_skew_ms
        region = RegionFallback(
            store,
            max_clock_skew_ms=skew,
            timeout_ms=timeout_ms,
            expected=settings.expectation,
        )
        sources.append(region)
    if (url := settings.fallback_sidecar_url) is not None:
        sources.append(SidecarFallback(url, timeout_ms=timeout_ms))
    if (client := settings.introspection) is not None:
        issuer = IssuerFallback(
            client.url,
            client.client_id,
            client.secret,
            issuer=client.issuer,
            timeout_ms=timeout_ms,
        )
        sources.append(issuer)
    return FirstOf(sources, timeout_ms=timeout_ms) if sources else None


def _reporter(settings: VerifierSettings) -> RejectionReporter | None:
    if not settings.report_rejections:
        return None
    return RejectionReporter(
        settings,
        region=settings.region,
        instance=settings.instance,
        pepper=settings.peppers[0],
    )
