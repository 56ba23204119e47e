"""Keys that are never used: their private half is published, or they are weak."""

import pytest
from joserfc.jwk import ECKey, OKPKey

from revocation.decision import Reason
from revocation.jwt.authenticator import Authenticated, Authenticator
from revocation.jwt.keys import Flaw, read_key_set
from tests.unit.jwks_server import JwksServer
from tests.unit.rings import BOTH, kids, rings
from tests.unit.tokens import (
    ISSUER,
    NOW,
    RULES,
    decode,
    encode,
    issuer,
    jwk,
    key_for,
    key_set,
    mint,
)

OF_RSA = ("d", "p", "q", "dp", "dq", "qi")


def private(alg, name="key-1", /, **members):
    """The private key as nobody should publish it; members None are left out."""
    whole = {**key_for(alg, name).as_dict(private=True), **members}
    return {each: value for each, value in whole.items() if value is not None}


def without(*names):
    return dict.fromkeys(names)


LEAKS = {
    "as it is": ("ES256", {}),
    "under another kid": ("ES256", {"kid": "leaked"}),
    "under a kid that is none": ("ES256", {"kid": 5}),
    "without a kid": ("ES256", {"kid": None}),
    "to encrypt": ("ES256", {"use": "enc"}),
    "to sign": ("ES256", {"key_ops": ["sign"]}),
    "for another algorithm": ("ES256", {"alg": "ECDH-ES"}),
    "as another type": ("ES256", {"kty": "ec"}),
    "without its type": ("ES256", {"kty": None}),
    "as a secret": ("ES256", {"kty": "oct", "k": encode(bytes(range(32)))}),
    "without its curve": ("ES256", {"crv": None}),
    "of another curve": ("ES256", {"crv": "P-384"}),
    "of no curve": ("ES384", {"crv": "p-384"}),
    "of Edwards, without its curve": ("Ed25519", {"crv": None}),
    "of RSA, as a secret": ("RS256", {"kty": "oct"}),
    "of RSA, for another exponent": ("RS256", {"e": "Aw"}),
    "of RSA, without its exponent": ("RS256", without("e", "p", "q")),
    "of RSA, the primes for another exponent": ("RS256", {"e": "Aw", "n": None}),
    "without its public half": ("ES256", without("x", "y")),
    "beside another's public half": (
        "ES256",
        {each: jwk("ES256", "other")[each] for each in ("x", "y")},
    ),
    "spelled with a zero": ("ES256", {"x": encode(b"\0" + decode(jwk("ES256")["x"]))}),
    "spelled with padding": ("ES256", {"x": jwk("ES256")["x"] + "="}),
    "a secret that is none": ("ES256", {"d": ""}),
    "of 521 bits": ("ES512", {"use": "enc"}),
    "of Edwards": ("Ed25519", {"use": "enc"}),
    "of Edwards, alone": ("EdDSA", without("x")),
    "of RSA": ("RS256", {"alg": "RSA-OAEP"}),
    "of RSA, for another": ("RS256", {"alg": "PS512"}),
    "of RSA, the primes alone": ("RS256", without("n", "e", "d", "dp", "dq", "qi")),
    "of RSA, other primes": ("RS256", {**without(*OF_RSA), "oth": []}),
    "of RSA, with a zero": (
        "RS256",
        {"n": encode(b"\0" + decode(jwk("RS256")["n"])), "e": "AAEAAQ"},
    ),
    **{
        f"of RSA, {each} alone": ("RS256", without(*{*OF_RSA} - {each}))
        for each in OF_RSA
    },
}


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("first", [True, False])
def test_a_key_whose_private_half_is_published_does_not_count(name, first):
    alg, changes = LEAKS[name]
    both = (private(alg, **changes), jwk(alg))
    keys = both if first else both[::-1]
    found = read_key_set(key_set(*keys, jwk(alg, "key-2")), issuer(alg))
    assert [key.kid for key in found.keys] == ["key-2"]
    assert found.left_out == {Flaw.PRIVATE: 2}


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_anothers_private_half_costs_nobody_else(alg):
    leaked = private(alg, "key-2")
    found = read_key_set(key_set(leaked, jwk(alg)), issuer(alg))
    assert [key.kid for key in found.keys] == ["key-1"]


@pytest.mark.parametrize("odd", [{"d": 5}, {"p": [], "q": None}, {"d": "?", "crv": 1}])
def test_a_private_half_that_cannot_be_read_costs_itself_only(odd):
    found = read_key_set(key_set(odd, jwk("ES256")), issuer())
    assert len(found.keys) == 1
    assert found.left_out == {Flaw.PRIVATE: 1}


@pytest.mark.parametrize(
    ("alg", "member"), [("ES256", "x"), ("RS256", "n"), ("RS256", "e")]
)
def test_one_key_has_one_thumbprint_however_it_is_spelled(alg, member):
    usual = jwk(alg)
    padded = {**usual, member: encode(b"\0" + decode(usual[member]))}
    for key in (usual, padded):
        for found in read_key_set(key_set(key), issuer(alg)).keys:
            assert found.thumbprint == key_for(alg).thumbprint()


@pytest.mark.parametrize(
    "alg", ["ES256", "ES384", "ES512", "RS256", "Ed25519", "HS256"]
)
def test_the_thumbprint_is_that_of_rfc_7638(alg):
    (key,) = read_key_set(key_set(jwk(alg)), issuer(alg)).keys
    assert key.thumbprint == key_for(alg).thumbprint()


# Over time ----------------------------------------------------------------------------


@pytest.fixture
async def server():
    async with JwksServer(BOTH) as running:
        yield running


@pytest.fixture
async def ring(server):
    async with rings(server) as start:
        yield start


@pytest.mark.parametrize("beside", [(), (jwk("ES256", "key-2"),)], ids=["alone", "two"])
async def test_a_key_at_hand_ends_when_its_private_half_appears(server, ring, beside):
    """Also where the set has nothing else, so that it counts as not read."""
    keys = await ring()
    who = Authenticator(keys.trusted, RULES, keys)
    token = mint()
    assert isinstance(who.authenticate(token, NOW), Authenticated)
    server.publish(key_set(private("ES256"), *beside))
    assert await keys.refresh(ISSUER) is bool(beside)
    assert who.authenticate(token, NOW).reason is Reason.KEY_UNKNOWN
    assert kids(keys) == {"key-2"}


async def test_a_private_half_that_was_seen_once_is_remembered(server, ring):
    server.publish(key_set(private("ES256"), jwk("ES256", "key-2")))
    keys = await ring()
    server.publish(key_set(jwk("ES256", kid="renamed"), jwk("ES256", "key-2")))
    assert await keys.refresh(ISSUER)
    assert kids(keys) == {"key-2"}


# Ed25519 ------------------------------------------------------------------------------

PRIME = 2**255 - 19
D = -121_665 * pow(121_666, -1, PRIME) % PRIME


def recover(y):
    """The `x` of a point (RFC 8032 section 5.1.3), or None."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    return x if x * x % PRIME == square else None


def add(one, other):
    """RFC 8032 section 5.1.4, affine."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME) % PRIME
    return x, (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME) % PRIME


def times(count, point):
    total = (0, 1)
    while count:
        if count & 1:
            total = add(total, point)
        point, count = add(point, point), count >> 1
    return total


def torsion():
    """All points whose order divides 8: multiples of one of order 8."""
    order = 2**252 + 27_742_317_777_372_353_535_851_937_790_883_648_493
    for y in range(2, 100):
        x = recover(y)
        if x is not None:
            point = times(order, (x, y))
            if times(4, point) != (0, 1):
                return {times(each, point) for each in range(8)}
    raise AssertionError


def written(y, sign):
    return encode((y | sign << 255).to_bytes(32, "little"))


SMALL = sorted(torsion())
ENCODED = {
    written(y + more, sign)
    for _, y in SMALL
    for sign in (0, 1)
    for more in (0, PRIME)
    if y + more < 2**255
}


def test_there_are_eight_points_of_small_order():
    assert len(SMALL) == 8
    assert len(ENCODED) == 14, "RFC 7748, RFC 8032: with what is not canonical"


@pytest.mark.parametrize("x", sorted(ENCODED))
def test_a_point_of_small_order_is_no_key(x):
    found = read_key_set(key_set(jwk("EdDSA", x=x)), issuer("EdDSA"))
    assert found.left_out == {Flaw.WEAK: 1}


@pytest.mark.parametrize("y", range(PRIME, 2**255))
@pytest.mark.parametrize("sign", [0, 1])
def test_another_spelling_of_a_point_is_no_key(y, sign):
    found = read_key_set(key_set(jwk("EdDSA", x=written(y, sign))), issuer("EdDSA"))
    assert found.left_out == {Flaw.WEAK: 1}


def test_what_is_no_point_is_no_key():
    odd = [y for y in range(2, 40) if recover(y) is None]
    assert len(odd) > 5
    for y in odd:
        found = read_key_set(key_set(jwk("EdDSA", x=written(y, 0))), issuer("EdDSA"))
        assert found.left_out == {Flaw.UNREADABLE: 1}


def test_usual_keys_count():
    for _ in range(20):
        for key, alg in (
            (OKPKey.generate_key("Ed25519"), "EdDSA"),
            (ECKey.generate_key("P-521"), "ES512"),
        ):
            public = key.as_dict(private=False)
            assert read_key_set(key_set(public), issuer(alg)).keys
