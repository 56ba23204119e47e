"""The strict JSON parser in C agrees with a plain implementation in Python."""

import json

from hypothesis import example, given, settings, strategies as st

from revocation.jwt.compact import MAX_DEPTH, read_json


def _object(members):
    if len(dict(members)) != len(members):
        raise ValueError("twice")
    return dict(members)


def _integer(digits):
    if not -(2**63) <= int(digits) < 10**19:
        raise ValueError("digits")
    return int(digits)


def _fraction(digits):
    if float(digits) in (float("inf"), float("-inf")):
        raise ValueError("large")
    return float(digits)


def _constant(name):
    raise ValueError(name)


READER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return 0
    return 1 + max(map(depth, value), default=0)


def slowly(raw):
    found = READER.decode(raw.decode())
    json.dumps(found, ensure_ascii=False).encode()
    if depth(found) > MAX_DEPTH:
        raise ValueError("deep")
    return found


def told(read, raw):
    try:
        return repr(read(raw))
    except ValueError:
        return None


texts = st.text('ab:"\\{}[],\u00e9\U0001f600\x00', max_size=6)
numbers = st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, width=32)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@st.composite
def documents(draw):
    """JSON, or nearly: a piece is doubled, lost or put elsewhere."""
    value = draw(values)
    for _ in range(draw(st.sampled_from([0, 0, 15, 17]))):
        value = draw(st.sampled_from([[value], {"a": value}]))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 2))):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        piece = draw(st.sampled_from([text[first:last] * 2, "", "\\u003a", ",", '"']))
        text = text[:first] + piece + text[last:]
    return text.encode(errors="surrogatepass")


@settings(max_examples=400)
@given(documents() | st.binary(max_size=12))
@example(b'{"a": 1, "a": "\\u003a"}')
@example(b'{"a": ":", "a": "\\u003a\\u003a"}')
@example(b'{"a": {"b": 1, "b": 2}, "a": ":"}')
@example(b'{"\\\\": 1, "\\\\\\"": 2}')
@example(b"[0.12345678901234567, -0, 1e2, 1E-400]")
def test_both_accept_the_same_and_read_the_same(raw):
    """Fractions may have fewer digits here; but a number survives, or is refused."""
    quick, slow = told(read_json, raw), told(slowly, raw)
    assert quick in (slow, None)
    if quick is None and slow is not None:
        assert len(max(raw.translate(None, b"-.").split(), key=len)) >= 20
