"""Notices where a claim that settings call the user's version is none.

A version rises with each revocation of a user, and only then. Okta's `ver: 1` never
does, and a claim of another meaning may fall: read as a version it would keep old
tokens alive, or refuse new ones. Nothing is decided here; it is said, so that somebody
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
"""How many users must have the same version before that is odd."""
_MAX_USERS: Final = 4_096
_MAX_ISSUERS: Final = 256
_SAYS: Final = {
    "backwards": "a later token of the same user has a lower version",
    "constant": f"{MANY_USERS} users have the same version, not 0: odd, unless "
    "all of them were revoked together",
}


@dataclass(slots=True)
class _Seen:
    """What was seen of one issuer: by user, the latest `iat` and its version."""

    users: OrderedDict[int, tuple[float, int]] = field(default_factory=OrderedDict)
    versions: set[int] = field(default_factory=set)
    said: set[str] = field(default_factory=set)


class VersionWatch:
    """Looks at some of the tokens that count. Called from any thread; never raises."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._issuers: dict[str, _Seen] = {}

    def note(self, token: Token) -> None:
        """Look at a genuine token. One without a version says nothing."""
        version, user = token.version, token.names[USER_AT]
        if version is None or not user:
            return
        seen = self._issuers.get(token.issuer)
        if seen is None:
            if len(self._issuers) >= _MAX_ISSUERS:
                return
            seen = self._issuers.setdefault(token.issuer, _Seen())
        # Two users of one hash are one in 2**61; ids are not kept.
        known = seen.users.pop(hash(user), None)
        issued_at = token.issued_at
        if known is not None and issued_at < known[0]:
            issued_at, version = known
        elif known is not None and issued_at > known[0] and version < known[1]:
            _say("backwards", token.issuer, seen)
        seen.users[hash(user)] = issued_at, version
        if len(seen.users) > _MAX_USERS:
            seen.users.popitem(last=False)
        # Two tell them apart; a set of all would grow.
        if len(seen.versions) < 2:  # noqa: PLR2004 - one is odd, two are not
            seen.versions.add(version)
        if len(seen.users) >= MANY_USERS and len(seen.versions) == 1 and version:
            _say("constant", token.issuer, seen)


def _say(cause: str, issuer: str, seen: _Seen) -> None:
    metrics.VERSION_DOUBTS.labels(issuer, cause).inc()
    if cause not in seen.said:
        seen.said.add(cause)
        _log.warning(
            "the version claim of an issuer is doubtful",
            issuer=issuer,
            cause=cause,
            says=_SAYS[cause],
            remedy="name another claim as its version_claim, or none",
        )
