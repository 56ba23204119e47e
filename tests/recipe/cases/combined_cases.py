"""Claims that can be revoked, alone or combined: what a token names of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from revocation.claims.claim_sets import MAX_WHOLE, ClaimSet
from revocation.decision import Reason
from revocation.entries import Kind, Status
from tests.recipe.cases.case import (
    ISSUED_AT,
    RULES,
    Case,
    StoredEntry,
    case,
    claims,
    subject,
)

_ACTIVE, _REVOKED = Reason.ACTIVE, Reason.CLAIMS_REVOKED
_UNVERIFIABLE: Final = Reason.UNVERIFIABLE
_DEVICE: Final = (("device_id",),)
_BOTH: Final = (("azp", "device_id"),)
_ACTOR: Final = (("act.sub",),)
_REACHES: Final = ISSUED_AT - RULES.clock_allowance_ms


def _cut(id_: str, **more: Any) -> StoredEntry:
    return subject(Kind.CLAIMS, id_=id_, not_before=_REACHES, **more)


def _case(
    name: str,
    reason: Reason,
    sets: tuple[ClaimSet, ...],
    *entries: StoredEntry,
    **held: Any,
) -> Case:
    rules = replace(RULES, revocable_claims=sets)
    return case(
        f"claim sets: {name}", reason, *entries, rules=rules, claims=claims(**held)
    )


def _sets() -> Iterator[Case]:
    device = _cut("device_id=d-1")
    both = _cut("azp=web&device_id=d-1")
    yield _case("a device that is cut off", _REVOKED, _DEVICE, device, device_id="d-1")
    yield _case("another device", _ACTIVE, _DEVICE, device, device_id="d-2")
    yield _case("no device", _ACTIVE, _DEVICE, device)
    yield case(
        "claim sets: a claim that is in no set",
        _ACTIVE,
        device,
        claims=claims(device_id="d-1"),
    )
    other = _cut("device_id=d-1", issuer="https://other.example")
    yield _case(
        "the device of another issuer", _ACTIVE, _DEVICE, other, device_id="d-1"
    )
    disabled = subject(Kind.CLAIMS, id_="device_id=d-1", status=Status.DISABLED)
    yield _case("a disabled device", _REVOKED, _DEVICE, disabled, device_id="d-1")
    held = {"azp": "web", "device_id": "d-1"}
    yield _case("both claims of a set", _REVOKED, _BOTH, both, **held)
    yield _case("one claim of a set", _ACTIVE, _BOTH, both, device_id="d-1")
    yield _case(
        "one claim of a set, though of another it is all",
        _REVOKED,
        (*_BOTH, *_DEVICE),
        both,
        device,
        device_id="d-1",
    )
    mixed = {"azp": "web", "device_id": "d-2"}
    yield _case("a set with another value", _ACTIVE, _BOTH, both, **mixed)
    yield _case(
        "names in the order of their encoded bytes",
        _REVOKED,
        (("z", "a-b", "\u00e9", "a"),),
        _cut("%C3%A9=3&a=1&a-b=2&z=4"),
        **{"z": "4", "a-b": "2", "a": "1", "\u00e9": "3"},
    )


def _nested() -> Iterator[Case]:
    agent = _cut("act.sub=agent-1")
    yield _case("an agent", _REVOKED, _ACTOR, agent, act={"sub": "agent-1"})
    yield _case("an object without the member", _ACTIVE, _ACTOR, agent, act={"iss": 1})
    yield _case("no object", _UNVERIFIABLE, _ACTOR, agent, act="agent-1")
    clash: dict[str, Any] = {"act": {"sub": "agent-1"}, "act.sub": "agent-2"}
    yield _case("a name with two readings", _UNVERIFIABLE, _ACTOR, agent, **clash)
    escaped = ((r"act\.sub",),)
    whole = _cut("act%5C.sub=agent-2")
    yield _case("a dot of the name's own", _REVOKED, escaped, whole, **clash)
    deep = ((r"kubernetes\.io.pod.name",),)
    pod = _cut("kubernetes%5C.io.pod.name=shop")
    named = {"kubernetes.io": {"pod": {"name": "shop"}}}
    yield _case("three deep", _REVOKED, deep, pod, **named)
    uri = (("https://app.example/dept.id",),)
    dept = _cut("https%3A%2F%2Fapp.example%2Fdept.id=7")
    yield _case("a URI", _REVOKED, uri, dept, **{"https://app.example/dept.id": "7"})


_WRITTEN: Final[tuple[tuple[str, Any, str], ...]] = (
    ("text with what must be encoded", "a b&c=d/e%f|g", "a%20b%26c%3Dd%2Fe%25f%7Cg"),
    ("text with what must not", "AZaz09-._~", "AZaz09-._~"),
    ("text with marks that some leave", "!*'()", "%21%2A%27%28%29"),
    ("text in Cyrillic", "ключ", "%D0%BA%D0%BB%D1%8E%D1%87"),
    ("text beyond the BMP", "\U0001f511", "%F0%9F%94%91"),
    ("text with a space at its end", "d-1 ", "d-1%20"),
    ("a whole number", 5, "5"),
    ("a whole number as text", "5", "5"),
    ("a whole number with a fraction of 0", 5.0, "5"),
    ("nought", 0, "0"),
    ("a negative number", -7, "-7"),
    ("the greatest number", MAX_WHOLE, str(MAX_WHOLE)),
    ("true", True, "true"),
    ("false", False, "false"),
    ("the second of a list", ["d-0", "d-1", "d-2"], "d-1"),
    ("a number in a list", [None, "", 5], "5"),
)

_UNNAMEABLE: Final[tuple[tuple[str, Any], ...]] = (
    ("an object", {"id": "d-1"}),
    ("a fraction", 5.5),
    ("a number that readers round", MAX_WHOLE + 1),
    ("a negative number that readers round", -MAX_WHOLE - 1),
    ("a huge number", 1e300),
    ("text of 513 characters", "d" * 513),
    ("a list of lists", [["d-1"]]),
    ("a list with an object", ["d-1", {}]),
)


def _values() -> Iterator[Case]:
    for name, value, written in _WRITTEN:
        cut = _cut(f"device_id={written}")
        yield _case(name, _REVOKED, _DEVICE, cut, device_id=value)
    for name, value in _UNNAMEABLE:
        cut = _cut("device_id=d-1")
        yield _case(name, _UNVERIFIABLE, _DEVICE, cut, device_id=value)
        said = f"{name}, in a set of which another claim is absent"
        yield _case(said, _ACTIVE, _BOTH, device_id=value)
    for name, value in (("null", None), ("empty text", ""), ("an empty list", [])):
        yield _case(name, _ACTIVE, _DEVICE, device_id=value)
    long = _cut(f"device_id={'d' * 512}")
    yield _case("text of 512 characters", _REVOKED, _DEVICE, long, device_id="d" * 512)


def _many() -> Iterator[Case]:
    groups = (("groups",), ("groups", "tenant"))
    held = [f"g-{number}" for number in range(200)]
    last = _cut("groups=g-199&tenant=tenant-1")
    yield _case(
        "the last of 200 groups, of a tenant", _REVOKED, groups, last, groups=held
    )
    pairs = (("groups", "roles"),)
    few = [str(number) for number in range(32)]
    yield _case(
        "1,024 combinations, of which a value that is there twice makes no more",
        _REVOKED,
        pairs,
        _cut("groups=31&roles=31"),
        groups=[*few, "0", 0],
        roles=few,
    )
    yield _case(
        "more than 1,024 combinations",
        _UNVERIFIABLE,
        pairs,
        groups=[*few, "32"],
        roles=few,
    )
    none = "more than 1,024 combinations, were there a role"
    more = [str(number) for number in range(1_025)]
    yield _case(none, _ACTIVE, pairs, groups=more, roles=[""])
    both = (("groups", "roles"), ("roles",))
    said = "more than 1,024 of two sets together"
    yield _case(said, _UNVERIFIABLE, both, groups=few, roles=few)


CASES: Final = (*_sets(), *_nested(), *_values(), *_many())
