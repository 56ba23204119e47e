"""How settings name a claim: members, nested ones, escaped dots, URIs."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from revocation.claims.claim_names import (
    ClaimName,
    Unreadable,
    find_claim,
    put_claim,
    split_name,
)

CLAIMS = {
    "sub": "user-1",
    "act": {"sub": "agent-1", "act": {"sub": "agent-2"}},
    "kubernetes.io": {"namespace": "shop", "pod": None},
    "https://app.example/tenant": "acme",
    "scope": "read",
    "a.b": "whole",
    "a": {"b": "nested"},
}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("sub", ("sub",)),
        ("act.sub", ("act", "sub")),
        (r"kubernetes\.io.namespace", ("kubernetes.io", "namespace")),
        (r"a\.b", ("a.b",)),
        ("https://app.example/tenant", ("https://app.example/tenant",)),
        ("urn:zitadel:iam:org.id", ("urn:zitadel:iam:org.id",)),
    ],
)
def test_a_name_leads_through_members(name: str, parts: tuple[str, ...]) -> None:
    assert split_name(name) == parts


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sub", "user-1"),
        ("act.sub", "agent-1"),
        ("act.act.sub", "agent-2"),
        ("act.iss", None),
        ("actor.sub", None),
        (r"kubernetes\.io.namespace", "shop"),
        (r"kubernetes\.io.pod.name", None),
        ("https://app.example/tenant", "acme"),
        (r"a\.b", "whole"),
    ],
)
def test_a_name_finds_a_claim(name: str, found: Any) -> None:
    assert find_claim(CLAIMS, name) == found


def test_a_part_that_is_not_an_object_is_reported() -> None:
    found = find_claim(CLAIMS, "scope.read")
    assert found == Unreadable("a part of `scope.read` is not an object")


def test_an_ambiguous_name_is_reported_with_the_one_to_write() -> None:
    found = find_claim(CLAIMS, "a.b")
    assert found == Unreadable("the token has a claim `a.b` itself; name it `a\\.b`")


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a.b.c.d.e", "x" * 257])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ClaimName).validate_python(name)


def test_a_claim_that_an_issuer_does_not_have_is_not_set():
    claims: dict[str, Any] = {}
    put_claim(claims, None, "alice")
    assert claims == {}
