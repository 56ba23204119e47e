"""Logs at start which tokens events cannot reach, so that nobody relies on it."""

from collections.abc import Mapping
from functools import cache

import structlog

from revocation.claims.claim_names import ClaimNames
from revocation.claims.claims import Rules
from revocation.claims.reach import reach

_log = structlog.get_logger()


def log_out_of_reach(rules: Rules) -> None:
    """Log which tokens of each issuer events do not reach, once in a process.

    Issuers with the same claim names share a line, as those of many tenants do.
    """
    alike: dict[ClaimNames, list[str]] = {}
    for issuer, names in rules.issuers.items():
        alike.setdefault(names, []).append(issuer)
    for names, (first, *others) in alike.items():
        _log_missed(first, len(others), names, rules.longest_of(names))


@cache
def _log_missed(issuer: str, others: int, names: ClaimNames, longest_ms: int) -> None:
    missed: Mapping[str, str] = {
        event: each.missed
        for each in reach(names, longest_ms)
        for event in each.events
        if each.missed
    }
    _log.info("out of reach", issuer=issuer, others_alike=others, events=missed)
