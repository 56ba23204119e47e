"""Warnings about events that Kafka accepts but that revoke nothing."""

from collections.abc import Iterable
from datetime import UTC, datetime

import typer

from revocation.entries import UnixMs
from revocation.events import Event, TokenRevoked
from revocation.nearest import nearest
from revocation.settings import PublisherSettings


def warn_of_unknown_issuers(issuers: Iterable[str]) -> None:
    """Warn of issuers that no verifier trusts, according to these settings."""
    for issuer in issuers:
        near = nearest(issuer, PublisherSettings().issuers)
        _warn(
            f"no verifier configured here knows the issuer {issuer}; the nearest in "
            f"REVOCATION_ISSUERS is {near}"
        )


def warn_of_past_exp(event: Event, now: UnixMs) -> None:
    """Warn of a token that has expired, or of an `exp` that the authority ignores."""
    if not isinstance(event, TokenRevoked) or event.data.exp is None:
        return
    limits, exp_ms = PublisherSettings().limits, event.data.exp * 1_000
    if exp_ms + limits.leeway_ms > now:
        return
    given = (
        f"--exp is {datetime.fromtimestamp(event.data.exp, UTC):%Y-%m-%d %H:%M:%S} UTC"
    )
    if exp_ms < now - limits.longest_token_ms:
        _warn(
            f"{given}, longer ago than any token lives, so it counts as not given; "
            "--exp is the token's `exp` claim, in seconds since 1970"
        )
    else:
        _warn(
            f"{given}, in the past: no verifier accepts that token any more, so the "
            "event can no longer revoke anything"
        )


def _warn(message: str) -> None:
    typer.echo(f"warning: {message}", err=True)
