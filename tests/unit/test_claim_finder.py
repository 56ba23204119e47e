"""Claim sets are looked up only where a replica may have an entry for them."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from revocation.claims.claim_sets import ClaimReader
from revocation.entries import Kind, Target
from revocation.store.layout import digest
from revocation.verifier.claim_finder import ClaimFinder
from tests.unit.strategies import json_values

PEPPERS = (b"p" * 32, b"q" * 32)
SETS: list[list[tuple[str, ...]]] = [
    [("device_id",)],
    [("device_id",), ("azp", "device_id")],
    [("act.sub",), ("device_id",)],
]
READERS = [ClaimReader(sets) for sets in SETS]
ISSUERS = ["https://a.example", "https://b.example"]
texts = st.sampled_from(["d-1", "d-2", "1", "true", ""])
values = texts | st.sampled_from([None, 1, 1.0, True]) | st.lists(texts) | json_values
claims_sets = st.fixed_dictionaries(
    {}, optional={"device_id": values, "azp": values, "act": json_values}
)
asked = st.tuples(st.sampled_from(ISSUERS), claims_sets)


def digests(issuer: str, *ids: str) -> list[bytes]:
    targets = [Target(Kind.CLAIMS, issuer, each) for each in ids]
    return [digest(target, pepper) for pepper in PEPPERS for target in targets]


@given(
    st.sampled_from(READERS),
    st.lists(asked, min_size=1, max_size=8),
    st.sets(st.tuples(st.sampled_from(ISSUERS), st.sampled_from(["d-1", "1", "true"]))),
    st.sampled_from(PEPPERS),
)
def test_cached_ids_are_found_whatever_was_read_before(
    reader: ClaimReader,
    questions: list[tuple[str, dict[str, Any]]],
    revoked: set[tuple[str, str]],
    pepper: bytes,
) -> None:
    finder = ClaimFinder(reader, PEPPERS)
    held = {
        digest(Target(Kind.CLAIMS, issuer, f"device_id={each}"), pepper): b""
        for issuer, each in revoked
    }
    for issuer, claims in questions:
        named = reader.read(claims)
        found = finder.find(issuer, claims, held.keys())
        if isinstance(named, str) or held.keys().isdisjoint(digests(issuer, *named)):
            assert found == (named if isinstance(named, str) else ())
        else:
            assert found == named


def test_a_text_that_no_event_can_name_is_not_kept() -> None:
    """Beside a claim that is absent it is no problem, and may be long."""
    finder = ClaimFinder(ClaimReader([("azp", "device_id")]), PEPPERS)
    assert finder.find(ISSUERS[0], {"device_id": "x" * 60_000}, {}.keys()) == ()
    assert not finder._known


def test_memory_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("revocation.verifier.claim_finder._CACHE_SIZE", 30)
    finder = ClaimFinder(READERS[0], PEPPERS)
    for number in range(100):
        issuer = ISSUERS[number % 2]
        assert not finder.find(issuer, {"device_id": f"d-{number}"}, {}.keys())
        assert sum(map(len, finder._known.values())) <= 11
