"""RFC 8725 section 3, point by point, and what its successor's draft adds to it.

Each point in short, by one case that the rule is about; the other files have the rest.
The numbers are those of draft-ietf-oauth-rfc8725bis; 3.1 to 3.12 are RFC 8725's too.
"""

import json

import pytest

from revocation.decision import Reason
from revocation.jwt.authenticator import Authenticated
from revocation.jwt.keys import Flaw, read_key_set
from tests.unit.tokens import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    authenticator,
    encode,
    header_of,
    issuer,
    jwk,
    key_for,
    key_set,
    mint,
    sign,
)


def reason_of(token, who=None):
    found = (who or authenticator()).authenticate(token, NOW)
    return Reason.ACTIVE if isinstance(found, Authenticated) else found.reason


def left_out(key, *algorithms):
    return dict(read_key_set(key_set(key), issuer(*algorithms)).left_out)


def test_3_1_only_the_algorithms_that_the_issuer_is_allowed():
    who = authenticator("ES256", "ES384")
    assert reason_of(mint("ES384"), who) is Reason.ACTIVE
    for alg in ("RS256", "HS256", "ES512"):
        assert reason_of(mint(alg), who) is Reason.ALGORITHM_REFUSED


def test_3_1_each_key_is_used_with_exactly_one_algorithm():
    keys = key_set(jwk("RS256"))
    who = authenticator("RS256", "RS512", keys=keys)
    assert reason_of(mint("RS256"), who) is Reason.ACTIVE
    assert reason_of(mint("RS512", key=key_for("RS256")), who) is Reason.KEY_UNKNOWN


def test_3_1_the_algorithm_is_chosen_from_a_list_and_compared_exactly():
    header = json.dumps(header_of("noNE"))
    token = sign(header, json.dumps(CLAIMS), "ES256", key_for("ES256"))
    assert reason_of(token) is Reason.ALGORITHM_REFUSED


def test_3_2_only_appropriate_algorithms_can_be_configured():
    for alg in ("none", "RSA1_5", "ES256K", "HS1"):
        with pytest.raises(ValueError, match="algorithms"):
            issuer(alg)


def test_3_3_a_token_is_refused_whole_when_any_operation_fails():
    signed, _, signature = mint().rpartition(".")
    assert reason_of(f"{signed}.{'A' * len(signature)}") is Reason.SIGNATURE_INVALID


def test_3_3_a_nested_or_encrypted_token_is_refused():
    inner = mint()
    header = json.dumps({**header_of(), "cty": "JWT"})
    nested = sign(header, inner, "ES256", key_for("ES256"))
    assert reason_of(nested) is Reason.MALFORMED
    assert reason_of(f"{inner}.AAAA.AAAA") is Reason.MALFORMED


def test_3_4_a_key_that_is_no_point_of_its_curve_is_never_used():
    assert left_out({**jwk("ES256"), "y": "A" * 43}) == {Flaw.UNREADABLE: 1}


def test_3_5_a_key_with_little_entropy_is_never_used():
    weak = {"kty": "oct", "kid": "key-1", "k": encode(b"password" * 8)}
    assert left_out({**weak, "alg": "HS256"}, "HS256") == {Flaw.WEAK: 1}
    short = {**jwk("RS256"), "n": encode(b"\xff" * 128)}
    assert left_out(short, "RS256") == {Flaw.WEAK: 1}


def test_3_6_nothing_is_decompressed():
    header = json.dumps({**header_of(), "zip": "DEF"})
    token = sign(header, json.dumps(CLAIMS), "ES256", key_for("ES256"))
    assert reason_of(token) is Reason.MALFORMED


def test_3_7_json_is_utf_8_and_nothing_else():
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        payload = json.dumps(CLAIMS).encode(encoding)
        token = sign(json.dumps(header_of()), payload, "ES256", key_for("ES256"))
        assert reason_of(token) is Reason.MALFORMED


def test_3_8_a_key_belongs_to_the_issuer():
    who = authenticator()
    assert reason_of(mint(iss="https://other.example/"), who) is Reason.ISSUER_UNTRUSTED
    assert not who._keys.asked, "no key is looked for before the issuer is trusted"
    assert reason_of(mint(), who) is Reason.ACTIVE
    assert who._keys.asked == [(ISSUER, "key-1", "ES256")]


def test_3_8_a_subject_is_required_and_can_be_revoked():
    assert reason_of(mint(sub=...)) is Reason.UNVERIFIABLE
    assert reason_of(mint(sub={"id": "alice"})) is Reason.UNVERIFIABLE


def test_3_9_the_audience_is_required_and_is_us():
    assert reason_of(mint(aud=...)) is Reason.AUDIENCE_REFUSED
    assert reason_of(mint(aud="https://other.example/")) is Reason.AUDIENCE_REFUSED
    assert reason_of(mint(aud=["x", AUDIENCE])) is Reason.ACTIVE


def test_3_10_a_kid_is_looked_up_in_memory_only():
    kid = "../../etc/passwd' OR 1=1 --"
    who = authenticator()
    assert reason_of(mint(header={"kid": kid}), who) is Reason.KEY_UNKNOWN
    assert who._keys.asked == [(ISSUER, kid, "ES256")]


def test_3_10_a_token_names_no_place_to_fetch_from():
    for member in ("jku", "x5u", "jwk", "x5c"):
        token = mint(header={member: "https://169.254.169.254/"})
        assert reason_of(token) is Reason.MALFORMED


def test_3_11_a_token_says_explicitly_that_it_is_an_access_token():
    assert reason_of(mint(header={"typ": "application/at+jwt"})) is Reason.ACTIVE
    for typ in (None, "JWT", "secevent+jwt"):
        assert reason_of(mint(header={"typ": typ})) is Reason.TYPE_REFUSED


def test_3_12_the_rules_for_kinds_of_tokens_exclude_each_other():
    who = authenticator(allow_untyped=True)
    untyped = {"typ": None}
    assert reason_of(mint(header=untyped, scope="read"), who) is Reason.ACTIVE
    for claims in ({"nonce": "n"}, {"events": {}}, {"client_id": ...}):
        assert reason_of(mint(header=untyped, **claims), who) is Reason.TYPE_REFUSED


def test_3_13_no_hash_is_iterated_as_often_as_a_stranger_says():
    header = json.dumps({**header_of(), "p2c": 2_000_000_000, "p2s": "AAAA"})
    token = sign(header, json.dumps(CLAIMS), "ES256", key_for("ES256"))
    assert reason_of(token) is Reason.MALFORMED


def test_3_14_only_the_characters_of_the_compact_form_are_read():
    first, second, third = mint().split(".")
    whole = {"payload": second, "protected": first, "signature": third}
    for token in (json.dumps(whole), f"{first}.{second}.{third}=", f"{{{first}}}.a.b"):
        assert reason_of(token) is Reason.MALFORMED


def test_3_15_no_encrypted_token_is_read_so_none_grows():
    header = encode(b'{"alg": "dir", "enc": "A256GCM", "zip": "DEF"}')
    assert reason_of(f"{header}..AAAA.AAAA.AAAA") is Reason.MALFORMED
    assert reason_of(f"{header}.AAAA.AAAA.AAAA.AAAA") is Reason.MALFORMED
