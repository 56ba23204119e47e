"""One token, the entries that may exist for it, and the verdict."""

from revocation.decision import DEFAULT_POLICIES, Freshness, decide, read_token
from revocation.entries import Entry, Kind, Position, Target, grant_id
from tests.unit.strategies import CLAIMS, ISSUER, NOW, RULES

READ, WRITE = DEFAULT_POLICIES["read"], DEFAULT_POLICIES["write"]
FRESH = Freshness(ready=True, as_of=NOW - 300)
ISSUED_AT = CLAIMS["iat"] * 1000
HERE = Position(3, 7, NOW - 60_000)

IDS = {
    Kind.KEY: "k1",
    Kind.ISSUER: ISSUER,
    Kind.TENANT: "acme",
    Kind.CLIENT: "shop",
    Kind.USER: "alice",
    Kind.GRANT: grant_id("alice", "shop"),
    Kind.SESSION: "session-1",
    Kind.TOKEN: "token-1",
    Kind.RESOURCE: "dataset:42",
    Kind.CLAIMS: "client_id=shop&tenant=acme",
}
ASKED = {"kid": "k1", "resources": ["dataset:42"]}


def known(kind, **state):
    """An entry about the target that the token of `CLAIMS` names."""
    return Entry(Target(kind, ISSUER, IDS[kind]), HERE, **state)


def verdict(*found, claims=CLAIMS, freshness=FRESH, policy=READ, now=NOW, **options):
    rules, skew_ms = options.pop("rules", RULES), options.pop("skew_ms", 0)
    return decide(
        read_token(claims, rules, **{**ASKED, **options}),
        {entry.target: entry for entry in found},
        freshness,
        policy=policy,
        rules=rules,
        now=now,
        skew_ms=skew_ms,
    )


def issued(seconds_after, cut_off=NOW - 60_000, **claims):
    """Claims of a token issued some seconds after a cut-off."""
    issued_at = cut_off / 1000 + seconds_after
    return {**CLAIMS, "iat": issued_at, "exp": issued_at + 3_000, **claims}
