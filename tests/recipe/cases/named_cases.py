"""Which targets a token names, and under which keys they lie."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from revocation.claims.claim_names import ClaimNames
from revocation.claims.claims import Rules
from revocation.decision import Reason
from revocation.entries import Kind, Status, grant_id
from tests.recipe.cases.case import (
    ISSUED_AT,
    NAMES,
    PEPPER,
    RULES,
    Case,
    case,
    claims,
    denied,
    subject,
)

_REACHES: Final = ISSUED_AT - RULES.clock_allowance_ms
"""The earliest cut-off that reaches the token."""
_ACTIVE: Final = Reason.ACTIVE
_LONG: Final = "😀" * 512
_SAME: Final = claims(
    sub="same", jti="same", sid="same", client_id="same", tenant="same"
)


def _cut(kind: Kind, id_: str, **more: Any) -> Any:
    return subject(kind, id_=id_, not_before=_REACHES, **more)


def _clients() -> Iterator[Case]:
    revoked, two = Reason.CLIENT_REVOKED, claims(azp="client-2")
    only = claims(client_id=..., azp="client-2")
    yield case(
        "client_id of two clients", revoked, _cut(Kind.CLIENT, "client-1"), claims=two
    )
    yield case("azp of two clients", revoked, _cut(Kind.CLIENT, "client-2"), claims=two)
    yield case("azp alone", revoked, _cut(Kind.CLIENT, "client-2"), claims=only)
    yield case("azp is the client_id", _ACTIVE, claims=claims(azp="client-1"))
    yield case(
        "an empty client_id and azp",
        revoked,
        _cut(Kind.CLIENT, "client-2"),
        claims=claims(client_id="", azp="client-2"),
    )
    granted = Reason.GRANT_REVOKED
    for name, client, held in (
        ("the grant to the client_id", "client-1", two),
        ("the grant to the azp", "client-2", two),
        ("the grant to the azp alone", "client-2", only),
    ):
        yield case(
            name, granted, _cut(Kind.GRANT, grant_id("user-1", client)), claims=held
        )
    yield case("no client, no grant", _ACTIVE, claims=claims(client_id=...))


def _grants() -> Iterator[Case]:
    granted = Reason.GRANT_REVOKED
    for client, user, id_ in (
        ("a|b", "c", "a%7Cb|c"),
        ("a", "b|c", "a|b|c"),
        ("a%7Cb", "c", "a%257Cb|c"),
        ("50%", "100%|", "50%25|100%|"),
    ):
        held = claims(client_id=client, sub=user)
        name = f"the grant of the user {user} to the client {client}"
        yield case(name, granted, _cut(Kind.GRANT, id_), claims=held)
    held = claims(client_id="a|b", sub="c")
    other = _cut(Kind.GRANT, "a|b|c")
    yield case(
        "a grant that would be the same without escapes", _ACTIVE, other, claims=held
    )


def _collisions() -> Iterator[Case]:
    yield case(
        "one id for everything, the session ended",
        Reason.SESSION_ENDED,
        denied(Kind.SESSION, id_="same"),
        claims=_SAME,
    )
    yield case(
        "one id for everything, the user cut off",
        Reason.VERSION_SUPERSEDED,
        subject(Kind.USER, id_="same", version=4),
        claims=_SAME,
    )
    yield case(
        "a session named as the token", _ACTIVE, denied(Kind.SESSION, id_="token-1")
    )
    yield case("a token named as the user", _ACTIVE, denied(Kind.TOKEN, id_="user-1"))
    yield case("a client named as the user", _ACTIVE, _cut(Kind.CLIENT, "user-1"))
    disabled = Status.DISABLED
    other = subject(Kind.USER, issuer="https://other.example", status=disabled)
    yield case("the user of another issuer", _ACTIVE, other)
    slash = subject(Kind.USER, issuer="https://issuer.example/", status=disabled)
    yield case("an issuer with a slash at its end is another", _ACTIVE, slash)
    for name, sub in (
        ("capitals are other letters", "User-1"),
        ("spaces count", " user-1"),
        ("the kind's word in an id", "user-1|user"),
    ):
        yield case(name, _ACTIVE, _cut(Kind.USER, "user-1"), claims=claims(sub=sub))


def _texts() -> Iterator[Case]:
    deleted = Status.DELETED
    for name, sub in (
        ("an id in Cyrillic", "пользователь"),
        ("an id beyond the Basic Multilingual Plane", "user-😀"),
        ("an id with control characters", "a\x00b\n"),
        ("an id with quotes and bars", 'a"b|c\\d'),
        ("an id of 512 characters, each two in UTF-16", _LONG),
    ):
        entry = subject(Kind.USER, id_=sub, status=deleted)
        yield case(name, Reason.USER_DELETED, entry, claims=claims(sub=sub))
    composed = subject(Kind.USER, id_="caf\u00e9", status=deleted)
    held = claims(sub="cafe\u0301")
    yield case(
        "what looks the same may differ: no normalisation",
        _ACTIVE,
        composed,
        claims=held,
    )
    colons = _cut(Kind.RESOURCE, "dataset:a:b:")
    yield case(
        "a resource whose id has colons",
        Reason.RESOURCE_DELETED,
        colons,
        resources=("dataset:a:b:",),
    )
    second = _cut(Kind.RESOURCE, "dataset:7")
    yield case(
        "the second of two resources",
        Reason.RESOURCE_DELETED,
        second,
        resources=("dataset:42", "dataset:7"),
    )
    yield case("a resource named twice", _ACTIVE, resources=("dataset:7", "dataset:7"))


def _settings() -> Iterator[Case]:
    other = Rules(
        longest_token_ms=3_600_000, names=ClaimNames(version="gen", tenant="org")
    )
    tenant = subject(Kind.TENANT, id_="org-1", status=Status.DISABLED)
    yield case(
        "another tenant claim",
        Reason.TENANT_REVOKED,
        tenant,
        claims=claims(org="org-1"),
        rules=other,
    )
    yield case(
        "the usual tenant claim means nothing then",
        _ACTIVE,
        subject(Kind.TENANT, status=Status.DISABLED),
        rules=other,
    )
    superseded = subject(Kind.USER, version=4)
    yield case(
        "another version claim",
        Reason.VERSION_SUPERSEDED,
        superseded,
        claims=claims(ver=9, gen=3),
        rules=other,
    )
    few = replace(RULES, names=replace(NAMES, required=()))
    bare = claims(sub=..., jti=..., sid=..., client_id=..., tenant=..., ver=...)
    yield case("a token that names only its issuer", _ACTIVE, claims=bare, rules=few)
    empty = claims(
        sub="", jti=None, sid="", client_id="", azp=None, tenant="", ver=None
    )
    yield case(
        "empty and null names are none", _ACTIVE, claims=empty, rules=few, kid=""
    )


def _keys() -> Iterator[Case]:
    revoked = denied(Kind.TOKEN)
    long = f" \t{PEPPER}-and-what-follows-does-not-count\n"
    yield case(
        "only 64 bytes of the pepper count, without space around",
        Reason.TOKEN_REVOKED,
        revoked,
        pepper=long,
    )
    yield case(
        "a pepper of 32 bytes", Reason.TOKEN_REVOKED, revoked, pepper=PEPPER[:32]
    )
    yield case("another prefix", Reason.TOKEN_REVOKED, revoked, prefix="Eu_2-x")


CASES: Final = (
    *_clients(),
    *_grants(),
    *_collisions(),
    *_texts(),
    *_settings(),
    *_keys(),
)
