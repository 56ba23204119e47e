"""The requirements of a protected service's paths. Pure.

`revocation.web.routes` has the rules for paths and their pitfalls. In addition, a
sidecar reads paths as sent, not as decoded by a framework, and gets requests that may
or may not open a WebSocket.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from revocation.decision import Beyond, StalenessPolicy
from revocation.web.routes import (
    WEBSOCKET,
    AccessNeeds,
    RouteRule,
    Routes,
    is_canonical,
)

METHODS: Final = frozenset(
    {
        *("GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE"),
        *("CONNECT", "QUERY", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK"),
        *("UNLOCK", "SEARCH", "BIND", "REBIND", "UNBIND", "ACL", "REPORT", "LINK"),
        *("UNLINK", "MKACTIVITY", "MKCALENDAR", "CHECKOUT", "MERGE", WEBSOCKET),
    }
)
"""Methods that rules may name: the registered ones that proxies and servers know."""

# As all that are registered (RFC 9110 section 16.1). Methods are case-sensitive; a
# service that takes `post` for POST would get around a rule for POST.
_METHOD: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")
# Servers read these in a path differently (RFC 3986 section 2).
_NOT_OF_A_URL: Final = re.compile(r"[^\x21-\x7e]")

_MAX_KNOWN: Final = 4_096
_MAX_KNOWN_BYTES: Final = 256
_UNKNOWN: Final = AccessNeeds(public=False, route="")
"""Marks a path that is not cached yet; never returned."""


class RuleSet:
    """Rules by path and method. A path without a rule needs a token."""

    def __init__(
        self,
        rules: Iterable[RouteRule] = (),
        *,
        policies: Mapping[str, StalenessPolicy],
        audience: str | None = None,
    ) -> None:
        """Prepare.

        Args:
            rules: tried in order; the first match applies.
            policies: by route class.
            audience: the `aud` that tokens need if no rule names one.
        """
        self.rules = tuple(rules)
        self._policies = policies
        self._audiences = () if audience is None else (audience,)
        self._routes = Routes(self.rules)
        # Rules never change, and most requests are for a few paths.
        self._known: dict[tuple[str, str, bool], AccessNeeds | None] = {}

    def __len__(self) -> int:
        """Return how many rules there are."""
        return len(self.rules)

    def find(
        self, method: str, path: str, *, websocket: bool = False
    ) -> AccessNeeds | None:
        """Return what a request needs, or None if its path is ambiguous.

        A request that opens a WebSocket, or looks like it, must satisfy both the rule
        for `WEBSOCKET` and that for its method: which of the two will happen is the
        proxy's decision, and a client could claim either.

        Args:
            method: as it was sent.
            path: as it was sent, percent-encoded, without the query.
            websocket: whether it looks like the handshake of a WebSocket.
        """
        key = (method, path, websocket)
        known = self._known.get(key, _UNKNOWN)
        if known is not _UNKNOWN:
            return known
        found = self._find(method, path, websocket=websocket)
        if len(path) <= _MAX_KNOWN_BYTES:
            if len(self._known) >= _MAX_KNOWN:
                self._known = {}
            self._known[key] = found
        return found

    def _find(self, method: str, path: str, *, websocket: bool) -> AccessNeeds | None:
        if _METHOD.fullmatch(method) is None or method == WEBSOCKET:
            return None
        if _NOT_OF_A_URL.search(path) is not None:
            return None
        decoded = unquote(path) if "%" in path else path
        if not is_canonical(decoded, path.encode()):
            return None
        needs = self._ask(method, decoded)
        if not websocket or needs is None:
            return needs
        other = self._ask(WEBSOCKET, decoded)
        return None if other is None else self._both(needs, other)

    def _ask(self, method: str, path: str) -> AccessNeeds | None:
        needs = self._routes.find(method, path)
        if needs is None or needs.public or needs.audiences:
            return needs
        return needs._replace(audiences=self._audiences) if self._audiences else needs

    def _both(self, one: AccessNeeds, other: AccessNeeds) -> AccessNeeds:
        if one.public or other.public:
            return one if other.public else other
        return AccessNeeds(
            public=False,
            route=min(one.route, other.route, key=self._tolerance),
            resources=_union(one.resources, other.resources),
            scopes=_union(one.scopes, other.scopes),
            audiences=_union(one.audiences, other.audiences),
        )

    def _tolerance(self, route: str) -> tuple[bool, int]:
        policy = self._policies[route]
        return policy.beyond is Beyond.ALLOW, policy.max_staleness_ms


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))
