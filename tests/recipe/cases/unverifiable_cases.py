"""Tokens that no event could name, or that no cut-off could reach."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from revocation.decision import Reason
from revocation.entries import Kind
from tests.recipe.cases.case import NAMES, NOW, RULES, Case, case, claims, denied

_MISSING: Final = ("iss", "sub", "jti", "iat", "exp")

_WRONG: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("sub is a number", {"sub": 5}),
    ("sub is empty", {"sub": ""}),
    ("jti is a list", {"jti": ["token-1"]}),
    ("sid is an object", {"sid": {"id": "session-1"}}),
    ("client_id is a boolean", {"client_id": True}),
    ("azp is a number", {"azp": 0}),
    ("the tenant is a list without members", {"tenant": []}),
    ("jti is longer than 512 characters", {"jti": "x" * 513}),
    ("sid is longer than 512 characters beyond ASCII", {"sid": "😀" * 513}),
    ("iss holds a space", {"iss": "https://issuer.example/a b"}),
    ("iss holds a bar", {"iss": "https://issuer.example|user"}),
    ("iss holds a quote", {"iss": 'https://issuer.example/"'}),
    ("iss holds a backslash", {"iss": "https://issuer.example\\"}),
    ("iss is not ASCII", {"iss": "https://aussteller-ä.example"}),
    ("iss ends with a line feed", {"iss": "https://issuer.example\n"}),
    ("iss is a number", {"iss": 7}),
    ("iss is longer than 512 characters", {"iss": "i" * 513}),
    ("iat is text", {"iat": "3999999400"}),
    ("iat is a boolean", {"iat": True}),
    ("iat is negative", {"iat": -1}),
    ("iat is in milliseconds", {"iat": NOW}),
    ("exp is after the year 9999", {"exp": 253_402_300_800}),
    ("exp is huge", {"exp": 1e308}),
    ("exp is text", {"exp": "never"}),
    ("ver is text", {"ver": "3"}),
    ("ver has a fraction", {"ver": 3.5}),
    ("ver is a boolean", {"ver": True}),
)


def _claims_sets() -> Iterator[Case]:
    unverifiable = Reason.UNVERIFIABLE
    for name in _MISSING:
        yield case(f"{name} is missing", unverifiable, claims=claims(**{name: ...}))
    yield case("jti is null", unverifiable, claims=claims(jti=None))
    for name, changed in _WRONG:
        yield case(name, unverifiable, claims=claims(**changed))
    for name, no_object in (("a list", [1]), ("null", None), ("text", "claims")):
        yield case(f"the claims are {name}", unverifiable, claims=no_object)
    more = replace(RULES, names=replace(NAMES, required=("jti", "aud")))
    held: tuple[Any, ...] = (..., None, "", 0, False, [], {})
    for each in held:
        lacks = each in (..., None, "")
        said = "absent" if each is ... else json.dumps(each)
        yield case(
            f"a required claim is {said}",
            unverifiable if lacks else Reason.ACTIVE,
            claims=claims(aud=each),
            rules=more,
        )
    nested = replace(RULES, names=replace(NAMES, required=("org.id",)))
    for name, odd in (
        ("a required claim is in no object", {"org": "acme"}),
        ("a required claim can be read in two ways", {"org": {"id": 1}, "org.id": 1}),
    ):
        yield case(name, unverifiable, claims=claims(**odd), rules=nested)
    revoked = denied(Kind.TOKEN)
    yield case(
        "what is unverifiable is said before what is known",
        unverifiable,
        revoked,
        claims=claims(sub=5),
    )


def _asked() -> Iterator[Case]:
    unverifiable = Reason.UNVERIFIABLE
    yield case("kid is a number", unverifiable, kid=5)
    yield case("kid is longer than 512 characters", unverifiable, kid="k" * 513)
    for resource in ("42", ":42", "dataset:", "", 42, "dataset:" + "4" * 505):
        name = f"the resource asked for is {json.dumps(resource)[:14]}"
        yield case(name, unverifiable, resources=("dataset:7", resource))


CASES: Final = (*_claims_sets(), *_asked())
