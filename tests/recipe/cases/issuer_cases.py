"""Cases about what the claims of an issuer are called."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from revocation.claims.claim_names import ClaimNames
from revocation.decision import Reason
from revocation.entries import Kind, grant_id
from tests.recipe.cases.case import (
    CLAIMS,
    ISSUER,
    NAMES,
    NOW,
    RULES,
    Case,
    StoredEntry,
    case,
    claims,
    denied,
    issued,
    subject,
)

_ACTIVE: Final = Reason.ACTIVE
_CUT: Final = NOW - 600_000


def _under(names: ClaimNames, **more: Any) -> Any:
    return replace(RULES, issuers={ISSUER: names}, **more)


def _cut(kind: Kind, **more: Any) -> StoredEntry:
    return subject(kind, not_before=NOW - 1_000, **more)


def _names() -> Iterator[Case]:
    entra = ClaimNames(
        user="oid",
        token_id="uti",
        sessions=("sid",),
        clients=("appid", "azp"),
        tenant="tid",
        required=("oid", "uti"),
    )
    token = claims(
        **dict.fromkeys(("jti", "client_id", "tenant"), ...),
        oid="user-2",
        uti="token-2",
        azp="client-2",
        tid="tenant-2",
    )
    given: dict[str, Any] = {"claims": token, "rules": _under(entra)}
    yield case("an issuer's claims, nothing revoked", _ACTIVE, **given)
    for kind, id_, reason in (
        (Kind.USER, "user-2", Reason.ISSUED_BEFORE_CUT_OFF),
        (Kind.CLIENT, "client-2", Reason.CLIENT_REVOKED),
        (Kind.TENANT, "tenant-2", Reason.TENANT_REVOKED),
        (Kind.GRANT, grant_id("user-2", "client-2"), Reason.GRANT_REVOKED),
    ):
        name = f"an issuer's own claim names the {kind}"
        yield case(name, reason, _cut(kind, id_=id_), **given)
    revoked = denied(Kind.TOKEN, id_="token-2")
    yield case("an issuer's own token id", Reason.TOKEN_REVOKED, revoked, **given)
    usual = _cut(Kind.USER)
    yield case("`sub` names nobody where `oid` does", _ACTIVE, usual, **given)
    others = replace(RULES, issuers={"https://other.example": entra})
    yield case("another issuer's claims", _ACTIVE, rules=others)
    absent = {**token, "uti": None}
    unverifiable = Reason.UNVERIFIABLE
    yield case("no token id", unverifiable, claims=absent, rules=_under(entra))
    lenient = _under(replace(entra, required=("oid",)))
    yield case("a token id that may be absent", _ACTIVE, claims=absent, rules=lenient)


def _several() -> Iterator[Case]:
    names = replace(NAMES, sessions=("sid", "session_state"), clients=("cid", "azp"))
    both = claims(session_state="session-2", cid="client-3", azp="client-4")
    given: dict[str, Any] = {"claims": both, "rules": _under(names)}
    for id_ in ("session-1", "session-2"):
        ended = denied(Kind.SESSION, id_=id_)
        yield case(f"of two sessions {id_}", Reason.SESSION_ENDED, ended, **given)
    for id_ in ("client-3", "client-4"):
        gone = _cut(Kind.CLIENT, id_=id_)
        yield case(f"of two clients {id_}", Reason.CLIENT_REVOKED, gone, **given)
    unused = _cut(Kind.CLIENT, id_="client-1")
    yield case("a client that is not named there", _ACTIVE, unused, **given)


def _nested() -> Iterator[Case]:
    inner = replace(NAMES, tenant="firebase.tenant")
    token = claims(tenant=..., firebase={"tenant": "tenant-1"})
    gone, refused = _cut(Kind.TENANT), Reason.TENANT_REVOKED
    unverifiable = Reason.UNVERIFIABLE
    rules = _under(inner)
    yield case("a tenant in an object", refused, gone, claims=token, rules=rules)
    flat = claims(tenant=..., firebase="tenant-1")
    yield case("no object to look in", unverifiable, claims=flat, rules=rules)
    bare = claims(tenant=..., firebase={"tenant": None})
    yield case("an object without it", _ACTIVE, gone, claims=bare, rules=rules)
    none = claims(tenant=...)
    yield case("neither object nor tenant", _ACTIVE, gone, claims=none, rules=rules)
    twice = {**token, "firebase.tenant": "tenant-9"}
    yield case("two readings of a name", unverifiable, claims=twice, rules=rules)
    deep = _under(replace(NAMES, tenant="a.b.c"))
    token = claims(tenant=..., a={"b": {"c": "tenant-1"}})
    yield case("a tenant two objects deep", refused, gone, claims=token, rules=deep)
    dotted = _under(replace(NAMES, tenant="kubernetes\\.io.namespace"))
    token = {**claims(tenant=...), "kubernetes.io": {"namespace": "tenant-1"}}
    name = "a dot of a member's own name"
    yield case(name, refused, gone, claims=token, rules=dotted)
    plain = _under(replace(NAMES, tenant="org\\.id"))
    token = {**claims(tenant=...), "org.id": "tenant-1"}
    name = "a dot of a claim's own name"
    yield case(name, refused, gone, claims=token, rules=plain)
    uri = "https://app.example/tenant"
    token = {**claims(tenant=...), uri: "tenant-1"}
    name = "a claim whose name is a URI"
    rules = _under(replace(NAMES, tenant=uri))
    yield case(name, refused, gone, claims=token, rules=rules)
    user = _under(replace(NAMES, user="act.sub", required=("act.sub",)))
    token = claims(act={"sub": "agent-1"})
    cut = _cut(Kind.USER, id_="agent-1")
    reason = Reason.ISSUED_BEFORE_CUT_OFF
    token["ver"] = None
    yield case("a user in an object", reason, cut, claims=token, rules=user)


def _versions() -> Iterator[Case]:
    none = _under(replace(NAMES, version=None))
    bumped = subject(Kind.USER, version=9, not_before=_CUT - 60_000)
    name = "a `ver` that is no counter is not read"
    yield case(name, _ACTIVE, bumped, claims=CLAIMS | {"ver": 1}, rules=none)
    text = CLAIMS | {"ver": "2.0"}
    yield case("nor does it need to be a number", _ACTIVE, claims=text, rules=none)
    cut = subject(Kind.USER, version=1, not_before=_CUT)
    old = issued(-1_000, _CUT, ver=1)
    name = "without a version the clock decides"
    yield case(name, Reason.ISSUED_BEFORE_CUT_OFF, cut, claims=old, rules=none)


def _times() -> Iterator[Case]:
    backdating = _under(replace(NAMES, version=None, backdated_ms=300_000))
    cut = subject(Kind.USER, not_before=_CUT)
    late, refused = issued(-239_000, _CUT), Reason.ISSUED_BEFORE_CUT_OFF
    name = "dated before a cut-off and made a minute after"
    yield case(name, _ACTIVE, cut, claims=late, rules=backdating)
    before = issued(-301_000, _CUT)
    yield case(
        "made just before a cut-off", refused, cut, claims=before, rules=backdating
    )
    reached = issued(-295_000, _CUT)
    name = "made as close after a cut-off as it reaches"
    yield case(name, refused, cut, claims=reached, rules=backdating)
    fresh = issued(0, NOW)
    name = "not dated back as its issuer does"
    yield case(name, Reason.UNVERIFIABLE, claims=fresh, rules=backdating)
    brief = _under(replace(NAMES, longest_ms=1_800_000))
    name = "longer than its issuer's tokens live"
    yield case(name, Reason.LIFETIME_EXCEEDED, rules=brief)
    greedy = _under(replace(NAMES, longest_ms=7_200_000), longest_token_ms=1_800_000)
    name = "no issuer's tokens live longer than all"
    yield case(name, Reason.LIFETIME_EXCEEDED, rules=greedy)


CASES: Final = (*_names(), *_several(), *_nested(), *_versions(), *_times())
