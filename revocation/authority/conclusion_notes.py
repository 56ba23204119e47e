"""Counts and logs what the authority concludes; receipts and names only."""

from collections.abc import Collection
from functools import lru_cache

import structlog

from revocation import metrics
from revocation.authority.conclude import Conclusion
from revocation.entries import Position
from revocation.nearest import nearest

_log = structlog.get_logger()


def note(conclusion: Conclusion, at: Position, issuers: Collection[str]) -> None:
    """Count a conclusion, and warn about faults of its event.

    Args:
        conclusion: on a record of the events topic or of the forwarded topic.
        at: where the record lies.
        issuers: those that verifiers trust; empty if unknown.
    """
    for result, times in conclusion.results.items():
        metrics.EVENTS.labels(conclusion.event_type, result).inc(times)
    if conclusion.clamped:
        metrics.CLAMPED.inc(conclusion.clamped)
    if conclusion.forwards:
        metrics.FORWARDED.inc(len(conclusion.forwards))
    if not conclusion.forwarded:
        _warn(conclusion, at, issuers)


def _warn(conclusion: Conclusion, at: Position, issuers: Collection[str]) -> None:
    left_out, issuer = conclusion.left_out, conclusion.issuer
    for name in left_out:
        metrics.LEFT_OUT.labels(name).inc()
    if left_out:
        _log.warning("members left out", receipt=at.receipt, members=left_out)
    if issuers and issuer not in issuers:
        metrics.UNKNOWN_ISSUERS.inc()
        near = _nearest(issuer, tuple(issuers))
        _log.warning("issuer unknown", receipt=at.receipt, nearest=near)


@lru_cache(maxsize=32)
def _nearest(issuer: str, issuers: tuple[str, ...]) -> str | None:
    """Cache the search: a producer with a wrong issuer sends many events."""
    return nearest(issuer, issuers)
