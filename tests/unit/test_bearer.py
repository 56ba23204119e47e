"""The responses of a service to requests that are refused."""

import json
import re

import pytest

from revocation.decision import Reason, Verdict
from revocation.entries import UnixMs
from revocation.errors import SettingsError
from revocation.web.bearer import MEANINGS, Refusals, check_scopes, lacks_scopes
from revocation.web.credentials import CredentialFault

REFUSALS = Refusals(realm="datasets")
BEHIND = {Reason.NOT_READY, Reason.STALE}
REJECTING = [each for each in Reason if each is not Reason.ACTIVE]


def rejected(reason):
    return Verdict(
        active=False,
        reason=reason,
        as_of=UnixMs(0),
        staleness_ms=7,
        detail="`sub` of alice",
    )


def parameters(refusal):
    """The challenge's parameters, read by RFC 9110's grammar."""
    challenge = dict(refusal.headers)["www-authenticate"]
    assert challenge.startswith("Bearer ")
    parts = re.findall(
        r'(?:^|, )(\w+)="((?:[^"\\]|\\.)*)"', challenge.removeprefix("Bearer ")
    )
    rebuilt = ", ".join(f'{name}="{value}"' for name, value in parts)
    assert challenge == f"Bearer {rebuilt}"
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in parts}


def every_refusal(refusals=REFUSALS):
    yield from (refusals.credentials(fault) for fault in CredentialFault)
    yield from (refusals.verdict(rejected(reason)) for reason in REJECTING)
    yield refusals.insufficient_scope(["a", "b"])
    yield refusals.invalid_request("The path is not in canonical form")


def test_every_reason_but_active_has_a_meaning():
    assert set(MEANINGS) == set(REJECTING)


def test_a_verdict_that_lets_pass_has_no_refusal_even_when_stale():
    verdict = Verdict(
        active=True,
        reason=Reason.ACTIVE,
        as_of=UnixMs(0),
        staleness_ms=9_000,
        stale=True,
    )
    with pytest.raises(KeyError):
        REFUSALS.verdict(verdict)


@pytest.mark.parametrize(
    "refusal", [*every_refusal()], ids=lambda refusal: refusal.code
)
def test_a_response_is_a_problem_that_is_not_cached(refusal):
    headers = dict(refusal.headers)
    assert len(headers) == len(refusal.headers)
    assert headers["cache-control"] == "no-store"
    assert headers["content-type"] == "application/problem+json"
    assert headers["content-length"] == str(len(refusal.body))
    body = json.loads(refusal.body)
    assert body == {
        "type": "about:blank",
        "title": refusal.code,
        "status": refusal.status,
        "detail": refusal.detail,
    }


def test_who_showed_no_token_learns_no_error_code():
    refusal = REFUSALS.credentials(CredentialFault.MISSING)
    assert refusal.status == 401
    assert parameters(refusal) == {"realm": "datasets"}


@pytest.mark.parametrize(
    "fault", [CredentialFault.DUPLICATED, CredentialFault.MALFORMED]
)
def test_a_malformed_request_is_an_invalid_request(fault):
    refusal = REFUSALS.credentials(fault)
    assert (refusal.status, refusal.code) == (400, "invalid_request")
    assert parameters(refusal)["error"] == "invalid_request"


def test_what_came_from_elsewhere_is_forbidden_without_a_challenge():
    refusal = REFUSALS.credentials(CredentialFault.CROSS_SITE)
    assert (refusal.status, refusal.code) == (403, "cross_site_request")
    assert "www-authenticate" not in dict(refusal.headers)


def test_credentials_that_are_too_large_say_so():
    assert REFUSALS.credentials(CredentialFault.TOO_LARGE).status == 431


@pytest.mark.parametrize("reason", sorted(set(REJECTING) - BEHIND))
def test_a_token_at_fault_is_an_invalid_token(reason):
    refusal = REFUSALS.verdict(rejected(reason))
    assert refusal.status == 401
    told = parameters(refusal)
    assert told["realm"] == "datasets"
    assert told["error"] == "invalid_token"
    assert told["error_description"] in {
        "The access token expired",
        "The access token was revoked",
        "The access token is not acceptable here",
    }


@pytest.mark.parametrize("reason", sorted(BEHIND))
def test_a_region_that_is_behind_does_not_fail_the_token(reason):
    """A client that reads `invalid_token` would drop a good session."""
    refusal = Refusals(retry_after_seconds=3).verdict(rejected(reason))
    headers = dict(refusal.headers)
    assert refusal.status == 503
    assert headers["retry-after"] == "3"
    assert "www-authenticate" not in headers
    assert b"invalid_token" not in refusal.body


def test_whose_session_ended_and_whose_account_is_gone_look_the_same():
    answers = {
        REFUSALS.verdict(rejected(reason))
        for reason in (
            *(Reason.USER_DISABLED, Reason.USER_DELETED, Reason.SESSION_ENDED),
            *(Reason.VERSION_SUPERSEDED, Reason.TOKEN_REVOKED),
        )
    }
    assert len(answers) == 1


def test_a_response_reveals_only_the_meaning_of_the_verdict():
    for reason in REJECTING:
        refusal = REFUSALS.verdict(rejected(reason))
        assert "alice" not in repr(refusal)


def test_a_missing_scope_is_named():
    refusal = REFUSALS.insufficient_scope(["datasets:read", "datasets:write"])
    assert refusal.status == 403
    told = parameters(refusal)
    assert told["error"] == "insufficient_scope"
    assert told["scope"] == "datasets:read datasets:write"


def test_a_realm_with_quotes_is_quoted():
    refusals = Refusals(realm='the "old" \\ new, error="x"')
    for refusal in every_refusal(refusals):
        if "www-authenticate" in dict(refusal.headers):
            told = parameters(refusal)
            assert told["realm"] == 'the "old" \\ new, error="x"'


def test_the_metadata_are_named_in_every_challenge():
    url = "https://api.example/.well-known/oauth-protected-resource"
    for refusal in every_refusal(Refusals(resource_metadata=url)):
        if "www-authenticate" in dict(refusal.headers):
            assert parameters(refusal)["resource_metadata"] == url


@pytest.mark.parametrize(
    "wrong",
    [
        {"realm": "a\r\nset-cookie: b"},
        {"realm": "\xe9"},
        {"resource_metadata": "http://api.example/"},
        {"resource_metadata": 'https://api.example/"'},
        {"resource_metadata": "https://api.example/\n"},
        {"retry_after_seconds": 0},
    ],
)
def test_what_does_not_fit_into_a_header_is_refused_at_construction(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Refusals(**wrong)


# Scopes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "a b c"},
        {"scp": ["a", "b"]},
        {"scp": "b a"},
        {"scope": "a b", "scp": []},
        {"scope": ["a", "b"]},
        {"scope": ("b", "a", 7, "a b"), "scp": "c"},
    ],
)
def test_scopes_that_a_token_has(claims):
    assert not lacks_scopes(claims, ["a", "b"])


@pytest.mark.parametrize(
    "claims",
    [
        None,
        {},
        {"scope": ""},
        {"scope": "a"},
        {"scope": "ab"},
        {"scope": "A B"},
        {"scope": "a\tb"},
        {"scope": ["a b"]},
        {"scope": [], "scp": "a b"},
        {"scope": {"a": 1, "b": 1}},
        {"scope": None, "scp": ["a", "b"]},
        {"scope": "a", "scp": ["b"]},
        {"scp": ["a b"]},
        {"scp": {"a": 1, "b": 1}},
        {"scp": 7},
    ],
)
def test_scopes_that_a_token_lacks(claims):
    assert lacks_scopes(claims, ["a", "b"])


def test_no_scope_required_is_no_scope_lacking():
    assert not lacks_scopes(None, [])


@pytest.mark.parametrize("scope", ["", "a b", 'a"', "a\\", "\xe9", "a\n"])
def test_a_scope_that_no_token_can_have_is_refused(scope):
    with pytest.raises(SettingsError, match="not a scope"):
        check_scopes([scope])
