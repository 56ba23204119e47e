"""Whatever is done to a token, nothing raises and no other claims are accepted."""

import json

from hypothesis import given, settings, strategies as st

from revocation.jwt.authenticator import Authenticated, Refusal
from revocation.jwt.compact import Malformed, read_json, take_apart
from tests.unit.tokens import (
    ALGORITHMS,
    CLAIMS,
    NOW,
    authenticator,
    decode,
    encode,
    header_of,
    key_for,
    mint,
    sign,
)

BY_ALGORITHM = {
    alg: (authenticator(alg), mint(alg)) for alg in ("ES256", "RS256", "HS256", "EdDSA")
}
cases = st.sampled_from(sorted(BY_ALGORITHM))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([CLAIMS["iss"], CLAIMS["aud"], CLAIMS["exp"], CLAIMS["iat"]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
names = st.sampled_from([*CLAIMS, "nbf", "azp", "sid", "events", "nonce"]) | st.text()
members = st.sampled_from(["alg", "typ", "kid", "crit", "jwk", "jku", "x"]) | st.text()


def judge(token, alg="ES256"):
    who, _ = BY_ALGORITHM[alg]
    found = who.authenticate(token, NOW)
    assert isinstance(found, Authenticated | Refusal)
    if isinstance(found, Authenticated):
        assert dict(found.claims) == CLAIMS, "other claims were believed"
    return found


@st.composite
def mutated(draw, token):
    """Flip, cut, insert or repeat characters."""
    characters = list(token)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(characters) - 1))
        how = draw(st.sampled_from(["replace", "insert", "delete", "repeat"]))
        new = draw(st.characters() | st.sampled_from('AZaz09-_.=+/ \n\0{}"'))
        if how == "replace":
            characters[place] = new
        elif how == "insert":
            characters.insert(place, new)
        elif how == "repeat":
            characters[place:place] = characters[place : place + 8]
        elif len(characters) > 1:
            del characters[place]
    return "".join(characters)


@given(st.data(), cases)
def test_a_mutated_token_is_refused(data, alg):
    _, token = BY_ALGORITHM[alg]
    other = data.draw(mutated(token))
    found = judge(other, alg)
    assert isinstance(found, Refusal) or other == token


@given(st.data(), cases, st.integers(0, 2))
def test_a_part_with_flipped_bits_is_refused(data, alg, part):
    _, token = BY_ALGORITHM[alg]
    parts = token.split(".")
    raw = bytearray(decode(parts[part]))
    place, bits = (
        data.draw(st.integers(0, len(raw) - 1)),
        data.draw(st.integers(1, 255)),
    )
    raw[place] ^= bits
    parts[part] = encode(bytes(raw))
    assert isinstance(judge(".".join(parts), alg), Refusal)


@given(cases, cases, st.permutations([0, 1, 2]))
def test_swapped_parts_are_refused(first, second, order):
    mine, other = BY_ALGORITHM[first][1].split("."), BY_ALGORITHM[second][1].split(".")
    mixed = ".".join([mine[order[0]], other[order[1]], mine[order[2]]])
    found = judge(mixed, first)
    assert isinstance(found, Refusal) or mixed in {
        each[1] for each in BY_ALGORITHM.values()
    }


@given(cases, st.dictionaries(members, json_values, min_size=1, max_size=3))
def test_an_edited_header_is_refused(alg, edits):
    _, token = BY_ALGORITHM[alg]
    header, payload, signature = token.split(".")
    edited = {**json.loads(decode(header)), **edits}
    raw = json.dumps(edited).encode(errors="surrogatepass")
    if edited == json.loads(decode(header)):
        return
    assert isinstance(judge(f"{encode(raw)}.{payload}.{signature}", alg), Refusal)


@given(st.dictionaries(names, json_values, min_size=1, max_size=4))
def test_any_claims_that_the_issuer_signs_are_judged_without_raising(edits):
    payload = json.dumps({**CLAIMS, **edits})
    token = sign(json.dumps(header_of()), payload, "ES256", key_for("ES256"))
    who, _ = BY_ALGORITHM["ES256"]
    assert isinstance(who.authenticate(token, NOW), Authenticated | Refusal)


@given(st.binary(max_size=200), st.binary(max_size=300), st.sampled_from(ALGORITHMS))
def test_any_bytes_that_the_issuer_signs_are_judged_without_raising(
    header, payload, alg
):
    if alg not in BY_ALGORITHM:
        return
    token = sign(header, payload, alg, key_for(alg))
    assert isinstance(judge(token, alg), Refusal)


@given(st.text() | st.binary() | st.none() | st.integers() | st.lists(st.text()))
def test_anything_at_all_is_judged_without_raising(token):
    assert isinstance(judge(token), Refusal)


@settings(max_examples=300)
@given(json_values)
def test_strict_json_reads_what_others_read_or_refuses(value):
    raw = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    try:
        found = read_json(raw)
    except ValueError:
        return
    assert found == value


@given(st.text(alphabet="AZaz09-_.", max_size=60))
def test_what_comes_apart_goes_together_again(token):
    found = take_apart(token)
    if not isinstance(found, Malformed):
        assert f"{found.signing_input.decode()}.{encode(found.signature)}" == token
