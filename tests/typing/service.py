"""What a user writes; `make check` has mypy read it as strictly as the package."""

import asyncio
from collections.abc import Mapping
from typing import Any

from revocation import (
    Publisher,
    PublisherSettings,
    Reason,
    Receipt,
    RemoteVerifier,
    RevocationError,
    StalenessPolicy,
    ThreadedVerifier,
    TrustedIssuer,
    Verdict,
    Verification,
    Verifier,
    VerifierSettings,
    wait_applied,
)
from revocation.events import UserLoggedOut
from revocation.web.asgi import RevocationMiddleware, RouteRule

ISSUER = "https://idp.example/"


def settings() -> VerifierSettings:
    """Settings may be given in code as well."""
    issuer = TrustedIssuer(
        jwks_url="https://idp.example/jwks",
        algorithms=("ES256",),
        audiences=("https://api.example/",),
    )
    return VerifierSettings(
        region="eu",
        store_url="redis://store.eu.example",
        pepper_file="/run/secrets/pepper",
        issuers={ISSUER: issuer},
        routes={"payment": StalenessPolicy(max_staleness_ms=1_000)},
    )


async def serve(token: str, claims: Mapping[str, Any]) -> str | None:
    """An asynchronous service."""
    async with Verifier.from_settings(settings()) as verifier:
        verdict: Verdict = verifier.check(claims, route="write", resources=["a:1"])
        if not verdict:
            reason: Reason = verdict.reason
            return f"{reason} as of {verdict.as_of}, by {verdict.receipt}"
        verification: Verification = await verifier.verify_async(token)
        if verification and verification.claims is not None:
            return str(verification.claims["sub"])
        version: int = await verifier.current_version(ISSUER, "alice")
        return f"{version} {verifier.progress.loaded} {verifier.freshness.as_of}"


async def log_out(user: str) -> dict[str, float]:
    """A producer that waits until its event is applied."""
    async with Publisher(PublisherSettings()) as publisher:
        event = UserLoggedOut.new(source="/idp", issuer=ISSUER, user=user)
        receipts: tuple[Receipt, ...] = await publisher.publish(event)
    async with RemoteVerifier.from_settings(settings()) as verifier:
        took: float = await verifier.wait_applied(receipts, timeout_seconds=5)
    return {"eu": took, **await wait_applied(receipts, {}, timeout_seconds=5)}


def serve_without_a_loop(token: str) -> bool:
    """A synchronous service."""
    try:
        with ThreadedVerifier.from_settings(settings()) as verifier:
            return verifier.verify(token).verdict.active
    except RevocationError as error:
        return error.retriable


def middleware(app: Any, verifier: Verifier) -> RevocationMiddleware:
    """A web application."""
    rule = RouteRule(path="/datasets/{id}", resources=("dataset:{id}",), route="write")
    return RevocationMiddleware(app, verifier, routes=[rule])


if __name__ == "__main__":
    asyncio.run(log_out("alice"))
