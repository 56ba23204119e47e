"""Detects a `version_claim` setting that names a claim with another meaning.

A user's version rises with each revocation of the user, and only then. Okta's `ver: 1`
never does, and an unrelated claim may fall: read as a version it would keep old tokens
alive, or refuse new ones. The watch decides nothing; it only warns, so that an operator
corrects `version_claim`.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import structlog

from revocation import metrics
from revocation.claims.claim_picking import USER_AT
from revocation.claims.claims import Token

_log = structlog.get_logger()

MANY_USERS: Final = 1_000
"""How many users must share a version before that is suspicious."""
_MAX_USERS: Final = 4_096
_MAX_ISSUERS: Final = 256
_DESCRIPTIONS: Final = {
    "backwards": "a later token of the same user has a lower version",
    "constant": f"{MANY_USERS} users have the same version, not 0: doubtful, unless "
    "all of them were revoked together",
}


@dataclass(slots=True)
class _IssuerState:
    """The state of one issuer: by user, the latest `iat` and its version."""

    users: OrderedDict[int, tuple[float, int]] = field(default_factory=OrderedDict)
    versions: set[int] = field(default_factory=set)
    warned: set[str] = field(default_factory=set)


class VersionWatch:
    """Examines a sample of the active tokens. For any thread; never raises."""

    def __init__(self) -> None:
        """Prepare, with no issuer seen."""
        self._issuers: dict[str, _IssuerState] = {}

    def note(self, token: Token) -> None:
        """Examine a genuine token; one without a version is ignored."""
        version, user = token.version, token.names[USER_AT]
        if version is None or not user:
            return
        seen = self._issuers.get(token.issuer)
        if seen is None:
            if len(self._issuers) >= _MAX_ISSUERS:
                return
            seen = self._issuers.setdefault(token.issuer, _IssuerState())
        # A hash collision has a chance of 1 in 2**61; ids are not kept.
        known = seen.users.pop(hash(user), None)
        issued_at = token.issued_at
        if known is not None and issued_at < known[0]:
            issued_at, version = known
        elif known is not None and issued_at > known[0] and version < known[1]:
            _warn("backwards", token.issuer, seen)
        seen.users[hash(user)] = issued_at, version
        if len(seen.users) > _MAX_USERS:
            seen.users.popitem(last=False)
        # Two suffice to see a difference; a set of all would grow.
        if len(seen.versions) < 2:  # noqa: PLR2004 - one is odd, two are not
            seen.versions.add(version)
        if len(seen.users) >= MANY_USERS and len(seen.versions) == 1 and version:
            _warn("constant", token.issuer, seen)


def _warn(cause: str, issuer: str, seen: _IssuerState) -> None:
    metrics.VERSION_DOUBTS.labels(issuer, cause).inc()
    if cause not in seen.warned:
        seen.warned.add(cause)
        _log.warning(
            "the version claim of an issuer is doubtful",
            issuer=issuer,
            cause=cause,
            says=_DESCRIPTIONS[cause],
            remedy="name another claim as its version_claim, or none",
        )
