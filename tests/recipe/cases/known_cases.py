"""What the store may know about a token, and which reason comes first."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from revocation.decision import Freshness, Reason
from revocation.entries import Kind, Status, UnixMs
from tests.recipe.cases.case import (
    ASKED,
    ISSUED_AT,
    NOW,
    RULES,
    Case,
    StoredEntry,
    case,
    denied,
    subject,
)

_DISABLED, _DELETED = Status.DISABLED, Status.DELETED
_REACHES: Final = ISSUED_AT - RULES.clock_allowance_ms
"""The earliest cut-off that reaches the token."""

_REJECTING: Final = (
    ("a revoked key", subject(Kind.KEY, status=_DISABLED), Reason.KEY_REVOKED),
    ("a key's cut-off", subject(Kind.KEY, not_before=_REACHES), Reason.KEY_REVOKED),
    (
        "an issuer's cut-off",
        subject(Kind.ISSUER, not_before=_REACHES),
        Reason.ISSUER_REVOKED,
    ),
    (
        "a disabled issuer",
        subject(Kind.ISSUER, status=_DISABLED),
        Reason.ISSUER_REVOKED,
    ),
    (
        "a tenant's cut-off",
        subject(Kind.TENANT, not_before=_REACHES),
        Reason.TENANT_REVOKED,
    ),
    (
        "a disabled tenant",
        subject(Kind.TENANT, status=_DISABLED),
        Reason.TENANT_REVOKED,
    ),
    (
        "a client's cut-off",
        subject(Kind.CLIENT, not_before=_REACHES),
        Reason.CLIENT_REVOKED,
    ),
    (
        "a disabled client",
        subject(Kind.CLIENT, status=_DISABLED),
        Reason.CLIENT_REVOKED,
    ),
    ("a deleted user", subject(Kind.USER, status=_DELETED), Reason.USER_DELETED),
    ("a disabled user", subject(Kind.USER, status=_DISABLED), Reason.USER_DISABLED),
    ("a user's version", subject(Kind.USER, version=4), Reason.VERSION_SUPERSEDED),
    (
        "a user's cut-off",
        subject(Kind.USER, not_before=NOW),
        Reason.ISSUED_BEFORE_CUT_OFF,
    ),
    (
        "a grant's cut-off",
        subject(Kind.GRANT, not_before=_REACHES),
        Reason.GRANT_REVOKED,
    ),
    (
        "a cut-off of claims",
        subject(Kind.CLAIMS, not_before=_REACHES),
        Reason.CLAIMS_REVOKED,
    ),
    ("disabled claims", subject(Kind.CLAIMS, status=_DISABLED), Reason.CLAIMS_REVOKED),
    ("a session's end", denied(Kind.SESSION, until=NOW + 1), Reason.SESSION_ENDED),
    ("a revoked token", denied(Kind.TOKEN, until=NOW + 1), Reason.TOKEN_REVOKED),
    (
        "a resource's cut-off",
        subject(Kind.RESOURCE, not_before=_REACHES),
        Reason.RESOURCE_DELETED,
    ),
    (
        "a deleted resource",
        subject(Kind.RESOURCE, status=_DELETED),
        Reason.RESOURCE_DELETED,
    ),
)

_IN_ORDER: Final = (
    (subject(Kind.KEY, status=_DISABLED), Reason.KEY_REVOKED),
    (subject(Kind.ISSUER, status=_DISABLED), Reason.ISSUER_REVOKED),
    (subject(Kind.TENANT, status=_DISABLED), Reason.TENANT_REVOKED),
    (subject(Kind.CLIENT, status=_DISABLED), Reason.CLIENT_REVOKED),
    (subject(Kind.USER, version=4, not_before=NOW), Reason.VERSION_SUPERSEDED),
    (subject(Kind.GRANT, not_before=_REACHES), Reason.GRANT_REVOKED),
    (subject(Kind.CLAIMS, not_before=_REACHES), Reason.CLAIMS_REVOKED),
    (denied(Kind.SESSION), Reason.SESSION_ENDED),
    (denied(Kind.TOKEN), Reason.TOKEN_REVOKED),
    (subject(Kind.RESOURCE, not_before=_REACHES), Reason.RESOURCE_DELETED),
)
"""The reason that is given first, first."""


def _rejections() -> Iterator[Case]:
    yield case("nothing is known", Reason.ACTIVE)
    yield case("nothing is known of anything asked", Reason.ACTIVE, **ASKED)
    for name, entry, reason in _REJECTING:
        yield case(f"{name} rejects", reason, entry, **ASKED)
    for kind in Kind:
        # Of a denylist kind: lapsed at this very millisecond.
        entry = (
            denied(kind, until=NOW)
            if kind in (Kind.TOKEN, Kind.SESSION)
            else subject(kind, not_before=_REACHES - 1, version=3)
        )
        name = f"an entry about the {kind} that no longer applies"
        yield case(name, Reason.ACTIVE, entry, **ASKED)
    forever = StoredEntry(denied(Kind.TOKEN).entry, -1)
    yield case("a denial without an expiry", Reason.TOKEN_REVOKED, forever)


def _precedence() -> Iterator[Case]:
    for (first, reason), (second, _) in pairwise(_IN_ORDER):
        kinds = first.entry.target.kind, second.entry.target.kind
        yield case(
            "the {} before the {}".format(*kinds), reason, second, first, **ASKED
        )
    everything = [entry for entry, _ in reversed(_IN_ORDER)]
    yield case("all at once", Reason.KEY_REVOKED, *everything, **ASKED)
    for status, version, reason in (
        (_DELETED, 9, Reason.USER_DELETED),
        (_DISABLED, 9, Reason.USER_DISABLED),
        (Status.ACTIVE, 9, Reason.VERSION_SUPERSEDED),
        (Status.ACTIVE, 0, Reason.ISSUED_BEFORE_CUT_OFF),
    ):
        entry = subject(Kind.USER, status=status, version=version, not_before=NOW)
        yield case(f"of a user first: {reason}", reason, entry)
    ancient = Freshness(ready=True, as_of=UnixMs(0))
    for entry, reason in (_IN_ORDER[4], _IN_ORDER[8]):
        name = f"a rejection stands however old: {reason}"
        yield case(name, reason, entry, freshness=ancient)


CASES: Final = (*_rejections(), *_precedence())
