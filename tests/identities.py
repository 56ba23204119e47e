"""The identity of regions that tests begin without a projector."""

from typing import Any

from revocation.identity import Identity, Lifetimes, fingerprint

LIFETIMES = Lifetimes(
    max_token_lifetime_seconds=3_600,
    max_session_seconds=86_400,
    leeway_seconds=60,
    clock_allowance_seconds=5,
    refresh_period_seconds=86_400,
)
"""The defaults of the settings."""


def identity(partitions: int = 1, **more: Any) -> Identity:
    """Return an identity; `more` replaces its default members."""
    members: dict[str, Any] = {
        "region": "eu",
        "cluster_id": "cluster-1",
        "topic_prefix": "revocation",
        "peppers": (fingerprint(b"0123456789abcdef" * 4),),
        "lifetimes": LIFETIMES,
        **more,
    }
    return Identity(partitions=partitions, **members)
