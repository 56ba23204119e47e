"""Says at start what no event reaches: whoever revokes must not believe otherwise."""

from collections.abc import Mapping
from functools import cache

import structlog

from revocation.claims.claim_names import ClaimNames
from revocation.claims.claims import Rules
from revocation.claims.reach import reach

_log = structlog.get_logger()


def tell_out_of_reach(rules: Rules) -> None:
    """Log which tokens of each issuer events do not reach, once in a process.

    Issuers whose tokens are alike share a line: those of many tenants are.
    """
    alike: dict[ClaimNames, list[str]] = {}
    for issuer, names in rules.issuers.items():
        alike.setdefault(names, []).append(issuer)
    for names, (first, *others) in alike.items():
        _tell(first, len(others), names, rules.longest_of(names))


@cache
def _tell(issuer: str, others: int, names: ClaimNames, longest_ms: int) -> None:
    missed: Mapping[str, str] = {
        event: each.missed
        for each in reach(names, longest_ms)
        for event in each.events
        if each.missed
    }
    _log.info("out of reach", issuer=issuer, others_alike=others, events=missed)
