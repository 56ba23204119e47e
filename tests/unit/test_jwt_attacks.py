"""The well-known attacks on tokens."""

import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from revocation.decision import Reason
from revocation.jwt.authenticator import Authenticated, Authenticator, Refusal
from tests.unit.tokens import (
    CLAIMS,
    ISSUER,
    NOW,
    RULES,
    FixedKeys,
    authenticator,
    claims_of,
    decode,
    encode,
    header_of,
    issuer,
    jwk,
    key_for,
    key_set,
    mint,
    sign,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PAYLOAD = json.dumps(CLAIMS)


def reason_of(token, who=None):
    found = (who or authenticator()).authenticate(token, NOW)
    return found.reason if isinstance(found, Refusal) else Reason.ACTIVE


def with_header(token=None, **members):
    """Replace the header of a signed token: the signature is then another's."""
    _, payload, signature = (token or mint()).split(".")
    return f"{encode(json.dumps(header_of(**members)).encode())}.{payload}.{signature}"


def with_signature(signature, alg="ES256"):
    header, payload, _ = mint(alg).split(".")
    return f"{header}.{payload}.{encode(signature)}"


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "none ", "\tnone", "", "null", "noNE\0"]
)
def test_an_unsigned_token_is_refused_however_none_is_written(alg):
    signed = with_header(alg=alg)
    assert reason_of(signed) is Reason.ALGORITHM_REFUSED
    assert reason_of(signed.rpartition(".")[0] + ".") is Reason.MALFORMED
    assert reason_of(signed.rpartition(".")[0]) is Reason.MALFORMED


@pytest.mark.parametrize(
    "alg", ["es256", "Es256", "ES256 ", "ES256K", "ES25\u0431", "HS256"]
)
def test_an_algorithm_is_compared_exactly(alg):
    assert reason_of(with_header(alg=alg)) is Reason.ALGORITHM_REFUSED


@pytest.mark.parametrize("form", ["PEM", "DER", "JWK", "n"])
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_never_a_secret(form, alg):
    public = key_for("RS256")
    secret = {
        "PEM": public.as_pem(private=False),
        "DER": public.as_der(private=False),
        "JWK": json.dumps(jwk("RS256")).encode(),
        "n": decode(jwk("RS256")["n"]),
    }[form]
    signed = f"{encode(json.dumps(header_of(alg)).encode())}.{encode(PAYLOAD.encode())}"
    digest = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}[alg]
    mac = hmac.new(secret, signed.encode(), getattr(hashlib, digest)).digest()
    token = f"{signed}.{encode(mac)}"
    assert reason_of(token, authenticator("RS256")) is Reason.ALGORITHM_REFUSED


def test_a_key_verifies_for_its_own_algorithm_only():
    """RS256 and PS256 are both allowed; the key was published for one of them."""
    who = authenticator("RS256", "PS256", keys=key_set(jwk("RS256")))
    assert reason_of(mint("RS256"), who) is Reason.ACTIVE
    other = mint("PS256", key=key_for("RS256"))
    assert reason_of(other, who) is Reason.KEY_UNKNOWN


@pytest.mark.parametrize(
    "kid",
    [
        *("../../../../dev/null", "/dev/null", "key-1' OR '1'='1", "'; DROP TABLE k--"),
        *("key-1/../key-1", "KEY-1", "key-1 ", "*", "key-?", "$(id)", "| id", "%00"),
        *("https://evil.example/jwks.json", "x" * 512, "key-1.", "0"),
    ],
)
def test_a_kid_is_a_name_and_nothing_else(kid):
    who = authenticator()
    assert reason_of(mint(header={"kid": kid}), who) is Reason.KEY_UNKNOWN


@pytest.mark.parametrize("kid", ["x" * 513, "x" * 5_000, "key-1\0", "key-1\n"])
def test_a_kid_that_is_no_name_is_refused(kid):
    assert reason_of(mint(header={"kid": kid})) is Reason.MALFORMED


def test_a_token_does_not_bring_its_own_key():
    own = key_for("ES256", "attacker")
    public = own.as_dict(private=False)
    for members in (
        {"jwk": public},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert.pem"},
        {"x5c": ["MIIB"]},
    ):
        assert reason_of(mint(header=members, key=own)) is Reason.MALFORMED
    assert reason_of(mint(key=own)) is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512", "Ed25519"])
def test_a_psychic_signature_is_refused(alg):
    """CVE-2022-21449: r = s = 0 verified anything."""
    size = {"ES256": 32, "ES384": 48, "ES512": 66, "Ed25519": 32}[alg]
    order = P256_ORDER.to_bytes(size) if alg == "ES256" else b"\xff" * size
    who = authenticator(alg)
    for r in (bytes(size), order, bytes(size - 1) + b"\x01"):
        for s in (bytes(size), order, bytes(size - 1) + b"\x01"):
            token = with_signature(r + s, alg)
            assert reason_of(token, who) is Reason.SIGNATURE_INVALID


def test_an_ecdsa_signature_has_one_length_and_is_no_der():
    raw = decode(mint().rpartition(".")[2])
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    for other in (
        encode_dss_signature(r, s),
        raw[:-1],
        raw[1:],
        raw + b"\0",
        b"\0" + raw,
        raw[:32] + b"\0" + raw[32:],
        raw * 2,
        b"\0",
    ):
        assert reason_of(with_signature(other)) is Reason.SIGNATURE_INVALID


def test_the_other_half_of_an_ecdsa_signature_makes_no_other_token():
    """(r, n - s) verifies too: a twin with other bytes and the same claims.

    It is harmless: revocation goes by `jti` and the other claims, which the signature
    covers, and never by a digest of the token.
    """
    who, token = authenticator(), mint()
    signed, _, signature = token.rpartition(".")
    raw = decode(signature)
    flipped = (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    twin = f"{signed}.{encode(raw[:32] + flipped)}"
    first, second = who.authenticate(token, NOW), who.authenticate(twin, NOW)
    assert twin != token
    assert isinstance(second, Authenticated)
    assert (first.claims, first.token) == (second.claims, second.token)


@pytest.mark.parametrize("alg", ["RS256", "PS256", "HS256", "ES256", "Ed25519"])
def test_a_signature_is_neither_cut_nor_extended(alg):
    who = authenticator(alg)
    raw = decode(mint(alg).rpartition(".")[2])
    for other in (
        raw[:-1],
        raw[1:],
        raw + b"\0",
        b"\0" + raw,
        raw[:1],
        bytes(len(raw)),
    ):
        assert reason_of(with_signature(other, alg), who) is Reason.SIGNATURE_INVALID


def test_a_signature_is_of_this_header_and_payload():
    first, second = mint(jti="1"), mint(jti="2", header={"typ": "AT+jwt"})
    a, b = first.split("."), second.split(".")
    for mixed in ([a[0], b[1], a[2]], [b[0], a[1], a[2]], [a[0], a[1], b[2]]):
        assert reason_of(".".join(mixed)) is Reason.SIGNATURE_INVALID


def test_a_second_alg_is_refused_wherever_it_stands():
    plain = json.dumps(header_of())[1:-1]
    for header in (f'{{"alg": "none", {plain}}}', f'{{{plain}, "alg": "none"}}'):
        token = sign(header, PAYLOAD, "ES256", key_for("ES256"))
        assert reason_of(token) is Reason.MALFORMED


@pytest.mark.parametrize(
    "value", ["9" * 400, "1e400", "1" + "0" * 30, "0." + "9" * 60, "-" + "9" * 30]
)
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf", "x"])
def test_a_huge_number_costs_nothing_and_is_refused(claim, value):
    payload = f'{json.dumps(claims_of(**{claim: ...}))[:-1]}, "{claim}": {value}}}'
    token = sign(json.dumps(header_of()), payload, "ES256", key_for("ES256"))
    assert reason_of(token) is Reason.MALFORMED


def test_a_date_that_does_not_fit_is_refused():
    for value in (2**63 - 1, 1e18, 1e300, -(2**62)):
        assert reason_of(mint(exp=value)) is Reason.UNVERIFIABLE


@pytest.mark.parametrize("name", ["https://idp.example/\0", "https://idp.example/\n"])
def test_an_issuer_with_something_behind_it_is_another_one(name):
    assert reason_of(mint(iss=name)) is Reason.ISSUER_UNTRUSTED


@pytest.mark.parametrize(
    "name",
    ["https://idp\u3002example/", "https://\u0456dp.example/", "HTTPS://idp.example/"],
)
def test_an_issuer_that_looks_alike_is_another_one(name):
    assert reason_of(mint(iss=name)) is Reason.ISSUER_UNTRUSTED


def test_one_issuer_does_not_speak_for_another():
    """Two issuers are trusted, each with keys of its own under the same `kid`."""
    other = "https://other.example/"
    rings = {
        ISSUER: FixedKeys(key_set(jwk("ES256")), issuer()),
        other: FixedKeys(key_set(jwk("ES256", "other", kid="key-1")), issuer()),
    }

    class Keys:
        def find(self, name, kid, alg):
            return rings[name].find(name, kid, alg)

    who = Authenticator({ISSUER: issuer(), other: issuer()}, RULES, Keys())
    assert reason_of(mint(), who) is Reason.ACTIVE
    assert reason_of(mint(iss=other), who) is Reason.SIGNATURE_INVALID
    theirs = key_for("ES256", "other")
    assert reason_of(mint(iss=other, key=theirs), who) is Reason.ACTIVE
    assert reason_of(mint(key=theirs), who) is Reason.SIGNATURE_INVALID


def test_a_key_that_stumbles_verifies_nothing():
    who = authenticator()

    def stumble(*_):
        raise RuntimeError("a bug in a library")

    who._keys.keys[0]._algorithm = type("Model", (), {"verify": stumble})()
    assert reason_of(mint(), who) is Reason.SIGNATURE_INVALID


def test_a_stranger_cannot_make_us_work_much():
    """Whatever is refused before the signature asks for no key."""
    who = authenticator()
    for token in (
        mint(iss="https://evil.example/"),
        mint(aud="https://evil.example/"),
        mint(exp=1, iat=0),
        mint(header={"typ": "JWT"}),
        with_header(alg="none"),
    ):
        assert reason_of(token, who) is not Reason.ACTIVE
    assert who._keys.asked == []
