"""What events reach, and that it is said of all that they do not.

No token of a preset is active after an event about it, unless `reach` says so.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from structlog.testing import capture_logs

from revocation.claims.claim_names import ClaimNames, put_claim
from revocation.claims.claims import Rules
from revocation.claims.reach import EVENTS, Reach, reach
from revocation.entries import Kind
from revocation.events import EVENT_TYPES
from revocation.jwt.authenticator import Authenticated
from revocation.jwt.presets import presets
from revocation.settings import VerifierSettings
from revocation.verifier import Verifier
from revocation.verifier.reporting.out_of_reach import log_out_of_reach
from tests.unit.issuer_events import about, verdict
from tests.unit.issuer_samples import COUNT
from tests.unit.issuer_tokens import RULES, Sample
from tests.unit.tokens import NOW, SECONDS

HOUR_MS = 3_600_000


def rows(sample: Sample) -> tuple[Reach, ...]:
    names = sample.trusted[sample.issuer].names
    return reach(names, RULES.longest_of(names))


def verified(sample: Sample) -> Authenticated | None:
    found = sample.authenticator().authenticate(sample.compact, NOW)
    return found if isinstance(found, Authenticated) else None


def check(sample: Sample, found: Authenticated) -> None:
    """Each cell of the matrix is "refused", or "out of reach" and was said to be."""
    for row in rows(sample):
        said = [*about(row, sample.payload)]
        if not said:
            assert row.missed, f"{row.kind} does not reach the token, silently"
        for event in said:
            assert not verdict(found, event), f"{event.type} leaves the token active"


def by_kind(names: ClaimNames) -> dict[Kind, Reach]:
    return {row.kind: row for row in reach(names, HOUR_MS)}


def test_every_type_of_event_is_spoken_of() -> None:
    spoken = {f"revocation.{each}" for types in EVENTS.values() for each in types}
    assert spoken == EVENT_TYPES.keys() - {"revocation.user.enabled"}
    assert {*EVENTS} == {*Kind} == {*by_kind(ClaimNames())}


@pytest.mark.parametrize("name", COUNT)
def test_an_event_reaches_a_token_or_is_listed_as_missing_it(name: str) -> None:
    found = verified(COUNT[name])
    assert found is not None
    check(COUNT[name], found)


@pytest.mark.parametrize("kind", [Kind.CLIENT, Kind.TENANT, Kind.ISSUER])
@pytest.mark.parametrize("name", presets())
def test_what_is_disabled_refuses_later_tokens_too(name: str, kind: Kind) -> None:
    sample = next(each for each in COUNT.values() if each.preset == name)
    found = verified(sample)
    assert found is not None
    row = next(row for row in rows(sample) if row.kind is kind)
    for event in about(row, sample.payload, disable=True):
        assert not verdict(found, event, at=NOW - HOUR_MS)


_ODD = st.sampled_from(
    ["", "a|b", 0, 5, True, None, [], {}, ["x"], {"id": "i"}, "x" * 513]
)
_IDS = st.sampled_from(["alice", "bob", "a%7Cb", "\u043a\u043b\u044e\u0447"])


@st.composite
def odd_samples(draw: st.DrawFn) -> Sample:
    """A token of a preset, some of whose claims are other than usual, or missing."""
    sample = COUNT[draw(st.sampled_from([*COUNT]))]
    names = sample.trusted[sample.issuer].names
    there = {name: each for name, each in sample.claims.items() if each is not None}
    claims = json.loads(json.dumps(there))
    for name in names.identifiers:
        if draw(st.booleans()):
            put_claim(claims, name, draw(_IDS))
    members = sorted(names.members - {"iss", "iat", "exp"})
    for name in draw(st.sets(st.sampled_from(members), max_size=2)):
        claims[name] = draw(_ODD)
    aged = sample.aged + draw(st.integers(-300, 300))
    kid = draw(st.sampled_from(["key-1", None, ""]))
    return sample._replace(claims=claims, aged=aged).of(kid=kid)


@settings(max_examples=150, deadline=None)
@given(odd_samples())
def test_no_token_that_is_verified_is_out_of_reach_in_silence(sample: Sample) -> None:
    found = verified(sample)
    if found is not None:
        check(sample, found)


@pytest.mark.parametrize(
    ("names", "kind", "by", "missed"),
    [
        ({}, Kind.TOKEN, "`jti` = `jti`", ""),
        (
            {"required": ("sub",)},
            Kind.TOKEN,
            "`jti` = `jti`",
            "tokens without `jti`, until `exp`, at most 3600 s",
        ),
        (
            {"token_id": None},
            Kind.TOKEN,
            "",
            "all tokens: none has a `jti`, until `exp`, at most 3600 s",
        ),
        (
            {"sessions": ("sid", "session_state")},
            Kind.SESSION,
            "`sid` = `sid` or `session_state`",
            "tokens without `sid` or `session_state`, until `exp`, at most 3600 s",
        ),
        ({"user": "oid", "required": ("oid",)}, Kind.USER, "`user` = `oid`", ""),
        (
            {"clients": ("cid",), "required": ()},
            Kind.GRANT,
            "`user` = `sub`, `client` = `cid`",
            "tokens without `sub`, or without `cid`, until `exp`, at most 3600 s",
        ),
        (
            {"clients": (), "required": ("sub",)},
            Kind.GRANT,
            "",
            "all tokens: none has a `client`, until `exp`, at most 3600 s",
        ),
        (
            {"required": ("azp", "sub")},
            Kind.CLIENT,
            "`client` = `client_id` or `azp`",
            "",
        ),
        ({}, Kind.ISSUER, "`issuer` = `iss`", ""),
        (
            {},
            Kind.KEY,
            "`kid` = the header's `kid`, or that of the key",
            "tokens whose key is published without `kid`, until `exp`, at most 3600 s",
        ),
        ({}, Kind.RESOURCE, "`resource` = a resource of the request", ""),
    ],
)
def test_what_is_said(names: dict[str, Any], kind: Kind, by: str, missed: str) -> None:
    row = by_kind(ClaimNames(**names))[kind]
    assert (row.by, row.missed) == (by, missed)


def test_a_revoked_key_reaches_tokens_that_name_none() -> None:
    sample = COUNT["RFC 9068"].of(kid=None)
    found = verified(sample)
    assert found is not None
    row = next(row for row in rows(sample) if row.kind is Kind.KEY)
    assert [not verdict(found, event) for event in about(row, sample.payload)] == [True]


def test_the_log_says_once_what_is_out_of_reach() -> None:
    issuers = {f"https://log.example/{each}": ClaimNames(user="u") for each in "ab"}
    issuers["https://log.example/c"] = ClaimNames(token_id=None, required=("sub",))
    rules = Rules(longest_token_ms=SECONDS, issuers=issuers)
    with capture_logs() as logs:
        log_out_of_reach(rules)
        log_out_of_reach(rules)
    first, second = logs
    assert (first["issuer"], first["others_alike"]) == ("https://log.example/a", 1)
    assert "token.revoked" not in first["events"]
    assert second["log_level"] == "info"
    assert second["events"]["token.revoked"].startswith("all tokens: none has a `jti`")


def test_a_verifier_says_it_at_start(tmp_path: Path) -> None:
    pepper = tmp_path / "pepper"
    pepper.write_bytes(b"p" * 32)
    issuer = "https://start.example"
    given = {"preset": "keycloak", "audiences": ["api"]}
    chosen = VerifierSettings(
        region="eu", store_url="redis://s", pepper_file=pepper, issuers={issuer: given}
    )
    with capture_logs() as logs:
        Verifier.from_settings(chosen)
    (said,) = [each for each in logs if each.get("issuer") == issuer]
    assert said["event"] == "out of reach"
    assert said["events"]["tenant.revoked"].startswith(
        "all tokens: none has a `tenant`"
    )
    assert "user.disabled" not in said["events"]
