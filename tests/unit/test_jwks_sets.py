"""Which keys of a set are used, and for which algorithm."""

import base64
import contextlib
import json

import pytest
from hypothesis import given, strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from revocation.jwt.keys import Flaw, read_key_set
from tests.unit.tokens import ALGORITHMS, issuer, jwk, key_set

EVERY_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


def read(*keys, algorithms=("ES256",)):
    return read_key_set(key_set(*keys), issuer(*algorithms))


def flaw(key, *algorithms):
    found = read(key, algorithms=algorithms or ("ES256",))
    assert not found.keys
    ((only, count),) = found.left_out.items()
    assert count == 1
    return only


def octets(raw, **members):
    k = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {"kty": "oct", "kid": "key-1", "k": k, **members}


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_is_for_one_algorithm(alg):
    (key,) = read(jwk(alg), algorithms=(alg,)).keys
    assert alg in key.names
    assert key.names <= {alg} | {"EdDSA", "Ed25519"}
    assert key.usable_until == 0, "whoever keeps the set says until when"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_without_alg_the_only_one_that_is_allowed_is_meant(alg):
    (key,) = read(jwk(alg, alg=None), algorithms=(alg,)).keys
    assert alg in key.names


@pytest.mark.parametrize("allowed", [("RS256", "PS256"), EVERY_RSA])
def test_a_key_that_could_serve_several_algorithms_serves_none(allowed):
    assert flaw(jwk("RS256", alg=None), *allowed) is Flaw.AMBIGUOUS
    (key,) = read(jwk("PS256"), algorithms=allowed).keys
    assert key.names == {"PS256"}


def test_the_two_names_of_ed25519_are_one_algorithm():
    for published in ("EdDSA", "Ed25519", None):
        for allowed in (("EdDSA",), ("Ed25519",), ("EdDSA", "Ed25519")):
            (key,) = read(jwk("EdDSA", alg=published), algorithms=allowed).keys
            assert key.names == {"EdDSA", "Ed25519"}


@pytest.mark.parametrize(
    "alg", ["ES384", "RS256", "none", "RSA-OAEP", "ECDH-ES", "", 5]
)
def test_a_key_for_another_algorithm_is_left_out(alg):
    assert flaw(jwk("ES256", alg=alg)) is Flaw.OTHER_ALGORITHM


@pytest.mark.parametrize("use", ["enc", "", "SIG", 5, None, ["sig"]])
def test_a_key_for_another_use_is_left_out(use):
    key = {**jwk("ES256"), "use": use}
    assert flaw(key) is Flaw.OTHER_USE


@pytest.mark.parametrize("operations", [["sign"], ["encrypt"], [], "verify", 5])
def test_a_key_that_must_not_verify_is_left_out(operations):
    assert flaw(jwk("ES256", use=None, key_ops=operations)) is Flaw.OTHER_USE
    assert read(jwk("ES256", use=None, key_ops=["verify"])).keys


@pytest.mark.parametrize("bits", [1_024, 2_040])
def test_an_rsa_key_has_2048_bits_at_least(bits):
    n = base64.urlsafe_b64encode((1 << bits - 1 | 1).to_bytes(bits // 8))
    key = {**jwk("RS256"), "n": n.decode().rstrip("=")}
    assert flaw(key, "RS256") is Flaw.WEAK


def test_an_rsa_key_is_not_so_large_that_strangers_make_us_work():
    n = base64.urlsafe_b64encode(b"\xff" * 2_048).decode().rstrip("=")
    key = {**jwk("RS256"), "n": n}
    assert flaw(key, "RS256") is Flaw.WEAK


@pytest.mark.parametrize("exponent", ["Aw", "AQ", "AA", "", "AQAAAAE"])
def test_an_rsa_key_has_an_exponent_that_is_usual(exponent):
    key = {**jwk("RS256"), "e": exponent}
    assert flaw(key, "RS256") in {Flaw.WEAK, Flaw.UNREADABLE}


@pytest.mark.parametrize(
    ("alg", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)]
)
def test_a_secret_is_as_long_as_the_digest_at_least(alg, least):
    short, enough = bytes(range(least - 1)), bytes(range(least))
    assert flaw(octets(short, alg=alg), alg) is Flaw.WEAK
    assert read(octets(enough, alg=alg), algorithms=(alg,)).keys


@pytest.mark.parametrize(
    "secret",
    [
        *(b"secret" * 6, b"0" * 64, b"", b"password"),
        RSAKey.generate_key(2_048).as_pem(private=False),
        b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ some-key-material-here",
    ],
)
def test_a_secret_that_is_easily_guessed_or_public_is_left_out(secret):
    assert flaw(octets(secret, alg="HS256"), "HS256") in {Flaw.WEAK, Flaw.UNREADABLE}


def test_a_der_public_key_is_no_secret():
    der = RSAKey.generate_key(2_048).as_der(private=False)
    assert flaw(octets(der, alg="HS256"), "HS256") is Flaw.UNREADABLE


def test_a_published_private_key_is_never_used():
    for key, alg in (
        (ECKey.generate_key("P-256"), "ES256"),
        (RSAKey.generate_key(2_048), "RS256"),
        (OKPKey.generate_key("Ed25519"), "EdDSA"),
    ):
        assert flaw(key.as_dict(private=True), alg) is Flaw.PRIVATE


def test_a_secret_in_the_set_of_a_public_key_issuer_is_left_out():
    secret = OctKey.generate_key(256).as_dict(private=True)
    assert flaw(secret, "RS256") is Flaw.OTHER_ALGORITHM


@pytest.mark.parametrize(
    "change",
    [
        {"x": "AAAA"},
        {"y": "A" * 43},
        {"x": 5},
        {"x": None},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"crv": "P-192"},
        {"crv": None},
        {"crv": ["P-256"]},
        {"kty": "ec"},
        {"kty": None},
        {"kty": ["EC"]},
        {"kty": "AKP"},
        {"kid": 5},
        {"kid": "schl\u00fcssel"},
        {"kid": "two\nlines"},
        {"kid": "x" * 513},
    ],
)
def test_a_point_off_its_curve_or_no_key_at_all_is_left_out(change):
    key = {**jwk("ES256", alg=None), **change}
    assert flaw(key) in {Flaw.UNREADABLE, Flaw.OTHER_ALGORITHM}


@pytest.mark.parametrize("curve", ["X25519", "Ed448", "X448"])
def test_another_edwards_curve_is_left_out(curve):
    key = OKPKey.generate_key(curve).as_dict(private=False)
    assert flaw(key, "EdDSA") is Flaw.UNREADABLE


@pytest.mark.parametrize("odd", [None, 5, "key", [], {}, {"kty": "EC"}])
def test_one_odd_key_does_not_cost_the_set(odd):
    found = read(odd, jwk("ES256"), odd)
    assert [key.kid for key in found.keys] == ["key-1"]
    assert sum(found.left_out.values()) == 2


def test_members_that_nobody_knows_change_nothing():
    assert read(jwk("ES256", x5c=["?"], x5t=5, exp=1, iat=2, nonsense={"a": 1})).keys


def test_two_keys_under_one_name_are_both_left_out():
    found = read(jwk("ES256"), jwk("ES256", "key-2", kid="key-1"))
    assert not found.keys
    assert found.left_out == {Flaw.DUPLICATE: 2}


def test_one_key_listed_twice_is_one_key():
    found = read(jwk("ES256"), jwk("ES256"))
    assert len(found.keys) == 1


def test_keys_of_two_algorithms_may_share_a_name():
    found = read(jwk("ES256"), jwk("ES384"), algorithms=("ES256", "ES384"))
    assert len(found.keys) == 2


def test_keys_without_a_name_are_kept():
    keys = (jwk("ES256", kid=None), jwk("ES256", "key-2", kid=None))
    assert [key.kid for key in read(*keys).keys] == [None, None]


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"null", b"[]", b"{}", b'"keys"', b'{"keys": null}', b'{"keys": {}}'),
        *(b'{"keys": [', b"<html>", b"\xff", b'{"keys": [NaN]}', b"[" * 5_000),
        json.dumps(jwk("ES256")).encode(),
    ],
)
def test_what_is_no_key_set_is_refused_whole(raw):
    with pytest.raises(ValueError, match="it "):
        read_key_set(raw, issuer())


members = st.sampled_from([*jwk("ES256"), *jwk("RS256"), "k", "d", "key_ops"])
values = (
    st.none()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["EC", "RSA", "oct", "OKP", "P-256", "sig", "ES256", "HS256"])
    | st.lists(st.sampled_from(["verify", "sign"]), max_size=2)
)
keys = st.sampled_from(["ES256", "RS256", "EdDSA"]).map(jwk) | st.just({})


@given(keys, st.dictionaries(members, values, max_size=4))
def test_any_key_is_used_for_what_it_is_or_left_out(key, edits):
    found = read({**key, **edits}, jwk("ES384"), algorithms=("ES256", "RS256", "ES384"))
    assert 1 <= len(found.keys) <= 2
    assert sum(found.left_out.values()) == 2 - len(found.keys)
    for each in found.keys:
        assert len(each.names & {"ES256", "RS256", "ES384"}) == 1


@given(st.binary(max_size=64))
def test_any_bytes_are_a_key_set_or_none(raw):
    with contextlib.suppress(ValueError):
        assert read_key_set(raw, issuer()).keys == ()
