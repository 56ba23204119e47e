"""One reading and one spelling: the accepted and refused forms of a token."""

import json
import string

import pytest

from revocation.decision import Reason
from revocation.jwt.authenticator import Authenticated
from revocation.jwt.compact import Malformed, TokenParts, read_json, take_apart
from revocation.jwt.trust import IGNORABLE_MEMBERS
from tests.unit.tokens import (
    CLAIMS,
    NOW,
    authenticator,
    decode,
    encode,
    header_of,
    jwk,
    key_for,
    sign,
)

HEADER = json.dumps(header_of())
PAYLOAD = json.dumps(CLAIMS)


def signed(header=HEADER, payload=PAYLOAD):
    return sign(header, payload, "ES256", key_for("ES256"))


def malformed(token):
    found = authenticator().authenticate(token, NOW)
    assert found.reason is Reason.MALFORMED, found
    return found.detail


def test_a_token_comes_apart_as_it_was_made():
    found = take_apart(signed())
    assert isinstance(found, TokenParts)
    assert found.header == ("ES256", "at+jwt", "key-1", frozenset())
    assert found.claims == CLAIMS
    assert len(found.signature) == 64


def around():
    token = signed()
    first, second, third = token.split(".")
    return {
        "empty": "",
        "dots": "..",
        "no signature": f"{first}.{second}.",
        "no header": f".{second}.{third}",
        "no payload": f"{first}..{third}",
        "two parts": f"{first}.{second}",
        "four parts": f"{token}.{third}",
        "five parts, as a JWE": f"{token}.{third}.{third}",
        "padding": f"{first}.{second}.{third}==",
        "padding inside": f"{first}=.{second}.{third}",
        "trailing newline": f"{token}\n",
        "leading space": f" {token}",
        "space inside": f"{first}. {second}.{third}",
        "bearer": f"Bearer {token}",
        "NUL": f"{token}\0",
        "NUL inside": f"{first}\0.{second}.{third}",
        "standard base64": f"{first}.{second}+/.{third}",
        "percent": token.replace(".", "%2E"),
        "full stop of another script": token.replace(".", "\u3002"),
        "letter of another script": token.replace("e", "\u0435"),
        "fullwidth": token.replace("A", "\uff21", 1),
        "zero width": f"{token}\u200b",
        "lone surrogate": f"{token}\ud800",
        "byte order mark": f"\ufeff{token}",
        "quotes": f'"{token}"',
        "JSON serialization": json.dumps(
            {"payload": second, "protected": first, "signature": third}
        ),
        "JSON around a token": json.dumps({f"{token}": ""}),
    }


@pytest.mark.parametrize("name", around())
def test_only_three_parts_of_base64url_are_a_token(name):
    malformed(around()[name])


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_part_has_a_second_spelling(part):
    """Unused bits of the last character (RFC 4648 section 3.5) make twins."""
    twins = 0
    for pad in range(3):
        parts = signed(payload=PAYLOAD + " " * pad, header=HEADER + " " * pad).split(
            "."
        )
        for last in string.ascii_letters + string.digits + "-_":
            other = parts[part][:-1] + last
            if other != parts[part] and decode(other) == decode(parts[part]):
                twins += 1
                malformed(".".join([*parts[:part], other, *parts[part + 1 :]]))
    assert twins


@pytest.mark.parametrize("part", [0, 1, 2])
def test_no_part_has_a_length_that_base64_cannot_have(part):
    parts = signed().split(".")
    parts[part] = parts[part][: len(parts[part]) // 4 * 4] + "A"
    malformed(".".join(parts))


NO_OBJECTS = {
    "no JSON": b"nonsense",
    "an array": b"[]",
    "a string": b'"text"',
    "a number": b"1",
    "null": b"null",
    "nothing": b" ",
    "two objects": b"{}{}",
    "a comment": b"{} // x",
    "a trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without mark": '{"a": 1}'.encode("utf-16-be"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "lone surrogate as a name": b'{"\\uDFFF": 1}',
    "lone surrogate after a pair": b'{"a": "\\ud83d\\ude00\\ud83d"}',
    "NUL in a string": b'{"a": "\0"}',
    "newline in a string": b'{"a": "\n"}',
    "NUL after the object": b"{}\0",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "-Infinity": b'{"a": -Infinity}',
    "a number that overflows": b'{"a": 1e999}',
    "a number that overflows downwards": b'{"a": -1e999}',
    "a huge number": b'{"a": ' + b"9" * 5_000 + b"}",
    "a number of 20 digits": b'{"a": 10000000000000000000}',
    "a long fraction": b'{"a": 0.' + b"1" * 50 + b"}",
    "a leading zero": b'{"a": 01}',
    "a plus sign": b'{"a": +1}',
    "hexadecimal": b'{"a": 0x10}',
    "a digit of another script": '{"a": \u0661}'.encode(),
    "a member twice": b'{"a": 1, "a": 2}',
    "a member twice with the same value": b'{"a": 1, "a": 1}',
    "a member twice, once escaped": b'{"a": 1, "\\u0061": 2}',
    "a member twice, deep": b'{"x": [{"y": {"a": 1, "a": 2}}]}',
    "deep arrays": b'{"a": ' + b"[" * 17 + b"]" * 17 + b"}",
    "deep objects": b'{"a": ' * 17 + b"1" + b"}" * 17,
    "an array bomb": b'{"a": ' + b"[" * 2_000 + b"]" * 2_000 + b"}",
    "an open array bomb": b'{"a":' + b"[" * 4_000,
    "quotes that never end": b'{"a": ' + b"[" * 20 + b'\\"' * 2_000,
}


@pytest.mark.parametrize("name", NO_OBJECTS)
def test_a_payload_is_one_strict_json_object(name):
    malformed(signed(payload=NO_OBJECTS[name]))


@pytest.mark.parametrize("name", NO_OBJECTS)
def test_a_header_is_one_strict_json_object(name):
    malformed(signed(header=NO_OBJECTS[name]))


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "x"])
def test_a_claim_never_occurs_twice(claim):
    twice = f'{PAYLOAD[:-1]}, "{claim}": 1, "{claim}": 2}}'
    assert "twice" in malformed(signed(payload=twice))


@pytest.mark.parametrize("member", ["alg", "typ", "kid"])
def test_a_header_member_never_occurs_twice(member):
    assert "twice" in malformed(signed(header=f'{HEADER[:-1]}, "{member}": "none"}}'))


@pytest.mark.parametrize(
    "value",
    [
        '"[[[[[[[[[[[[[[[[[[[[[[[[[[[[["',
        '"\\"[[[[[[[[[[[[[[[[[[[[[[[[["',
        json.dumps([[] for _ in range(40)]),
        "[" * 15 + "]" * 15,
        '"\\ud83d\\ude00"',
        '"é\\u00e9\\\\ud800"',
        "1e300",
        "9223372036854775807",
    ],
)
def test_what_is_odd_and_unambiguous_is_accepted(value):
    token = signed(payload=f'{PAYLOAD[:-1]}, "x": {value}}}')
    assert isinstance(authenticator().authenticate(token, NOW), Authenticated)


@pytest.mark.parametrize(
    "member",
    [
        *("crit", "b64", "jku", "jwk", "x5u", "x5c", "enc", "zip", "cty"),
        *("p2c", "p2s", "epk", "iv", "tag", "apu", "apv"),
    ],
)
def test_a_header_that_asks_for_more_than_a_signature_is_refused(member):
    for value in ("x", 1, ["x"], {"x": 1}, None):
        malformed(signed(header=json.dumps({**header_of(), member: value})))


@pytest.mark.parametrize(
    "member",
    ["x5t", "x5t#S256", "nonce", "pi.atm", "tnk", "tty", "cat", "ALG", "Kid", ""],
)
@pytest.mark.parametrize("value", ["x", 1, ["x"], {"x": 1}, None])
def test_a_header_member_that_nobody_here_understands_is_ignored(member, value):
    """RFC 7515 section 4: unless `crit` names it."""
    header = {**header_of(), member: value}
    found = authenticator().authenticate(signed(header=json.dumps(header)), NOW)
    assert isinstance(found, Authenticated)
    header["crit"] = [member]
    assert "crit" in malformed(signed(header=json.dumps(header)))


@pytest.mark.parametrize("member", sorted(IGNORABLE_MEMBERS))
def test_a_key_in_a_header_may_be_ignored_and_is_never_used(member):
    own = jwk("ES256", "attacker")
    value = {"jku": "https://evil.example/jwks", "jwk": own}.get(member, ["x"])
    header = json.dumps({**header_of(), member: value})
    assert f"{member}, from which no key" in malformed(signed(header=header))
    lenient = authenticator(ignored_header_members=[member])
    assert isinstance(lenient.authenticate(signed(header=header), NOW), Authenticated)
    forged = sign(header, PAYLOAD, "ES256", key_for("ES256", "attacker"))
    assert lenient.authenticate(forged, NOW).reason is Reason.SIGNATURE_INVALID


def test_an_empty_kid_counts_as_absent():
    """As Ory Hydra writes it."""
    found = take_apart(signed(header=json.dumps(header_of(kid=""))))
    assert found.header.kid is None


@pytest.mark.parametrize("member", ["alg", "typ", "kid"])
@pytest.mark.parametrize("value", [None, 1, True, ["ES256"], {"a": 1}])
def test_a_header_member_is_a_string(member, value):
    malformed(signed(header=json.dumps({**header_of(), member: value})))


def test_a_header_names_its_algorithm():
    assert "alg" in malformed(signed(header='{"typ": "at+jwt", "kid": "key-1"}'))


@pytest.mark.parametrize("kid", ["x" * 513, "k\0", "k\n", "ключ", "\u200b", "\x7f"])
def test_a_kid_is_short_and_printable(kid):
    assert "kid" in malformed(signed(header=json.dumps(header_of(kid=kid))))


def test_a_header_is_short():
    assert "long" in malformed(signed(header=HEADER + " " * 2_000))


def test_white_space_in_json_is_no_second_reading():
    token = signed(header=f" {HEADER}\n", payload=f"\t{PAYLOAD} ")
    assert isinstance(authenticator().authenticate(token, NOW), Authenticated)


def test_nesting_is_found_whatever_stands_in_strings():
    text = b'"' + b'\\"]}[{\\\\' * 30 + b'"'
    for depth in (16, 17):
        raw = b'[{"a":' * (depth // 2) + b"[" * (depth % 2) + text
        raw += b"]" * (depth % 2) + b"}]" * (depth // 2)
        if depth == 16:
            assert read_json(raw)
            continue
        with pytest.raises(ValueError, match="deep"):
            read_json(raw)


@pytest.mark.parametrize("number", [-(2**63), 2**63, 10**19 - 1, -(10**18)])
def test_numbers_of_64_bits_survive(number):
    assert read_json(f'[{number}, {{"a": {number}}}]'.encode()) == [
        number,
        {"a": number},
    ]


@pytest.mark.parametrize("number", [-(2**63) - 1, 10**19, -(10**19)])
def test_longer_numbers_are_refused(number):
    for text in (f"{number}", f"[{-(2**63)}, {number}]", f'{{"a": {number}}}'):
        with pytest.raises(ValueError, match="digits"):
            read_json(text.encode())
    assert read_json(f'["{number}"]'.encode()) == [str(number)]


def test_a_refused_form_says_the_rule():
    assert take_apart("a.b") == Malformed(
        "a token has three parts of base64url, joined by dots"
    )
    assert take_apart(f"{encode(b'{}')}.{encode(b'{}')}.AA") == Malformed(
        "the header has no `alg`"
    )
