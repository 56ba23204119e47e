"""Records that are not events, and their errors; `test_events.py` has the others."""

import contextlib
import json
import traceback

import pytest
from hypothesis import given, strategies as st

from revocation import events
from revocation.errors import (
    ContractError,
    InvalidEventError,
    MalformedEventError,
    UnknownEventTypeError,
)
from tests.unit.strategies import ISSUER, json_values
from tests.unit.structured import LOGOUT, to_json, with_data


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, MalformedEventError, "no value"),
        (b"", MalformedEventError, "no value"),
        (b"{", MalformedEventError, "not JSON"),
        (b"\xff", MalformedEventError, "not JSON"),
        (b'{"x": %s}' % (b"[" * 9_999), MalformedEventError, "not JSON"),
        (to_json(id="\ud800"), MalformedEventError, "not JSON"),
        (b"5", MalformedEventError, "not a CloudEvent"),
        (b"null", MalformedEventError, "not a CloudEvent"),
        (b"[]", MalformedEventError, "not a CloudEvent"),
        (b"{}", MalformedEventError, "not a CloudEvent"),
        (
            to_json(type="revocation.user.hugged"),
            UnknownEventTypeError,
            "the known types are",
        ),
        (to_json(type=5), UnknownEventTypeError, "the known types are"),
        (to_json(specversion="0.3"), InvalidEventError, "specversion: "),
        (to_json(id=""), InvalidEventError, "id: "),
        (to_json(id="x" * 257), InvalidEventError, "id: "),
        (to_json(source=None), InvalidEventError, "source: "),
        (to_json(data=None), InvalidEventError, "data: "),
        (to_json(data=[]), InvalidEventError, "data: "),
        (to_json(data={"issuer": ISSUER}), InvalidEventError, "data.user: "),
        (to_json(datacontenttype="text/xml"), InvalidEventError, "datacontenttype: "),
        (to_json(time="yesterday"), InvalidEventError, "time: .*RFC 3339"),
        (to_json(time="2026-11-21T15:00:00"), InvalidEventError, "time: "),
        (to_json(time="1700000000"), InvalidEventError, "time: "),
        (to_json(time=1_700_000_000), InvalidEventError, "time: "),
        (with_data(user=5), InvalidEventError, "data.user: "),
        (with_data(user=""), InvalidEventError, "data.user: "),
        (with_data(user="x" * 513), InvalidEventError, "data.user: "),
        (with_data(issuer="a|b"), InvalidEventError, "data.issuer: "),
        (with_data(issuer="a b"), InvalidEventError, "data.issuer: "),
        (with_data(issuer="a\n"), InvalidEventError, "data.issuer: "),
        (with_data(issuer="é"), InvalidEventError, "data.issuer: "),
        (with_data(version=0), InvalidEventError, "data.version: "),
        (with_data(version="7"), InvalidEventError, "data.version: "),
        (with_data(version=True), InvalidEventError, "data.version: "),
        (with_data(version=2**52 + 1), InvalidEventError, "data.version: "),
        (with_data(reason="x" * 1_025), InvalidEventError, "data.reason: "),
    ],
)
def test_what_breaks_the_contract_says_why(value, error, message):
    with pytest.raises(error, match=message):
        events.decode(value)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "revocation.data.deleted", "data": {}},
        {"type": "revocation.data.deleted", "data": {"user": "x", "resource": "a:b"}},
        {"type": "revocation.data.deleted", "data": {"resource": "plain"}},
        {"type": "revocation.data.deleted", "data": {"resource": "a:"}},
        {"type": "revocation.data.deleted", "data": {"resource": ":b"}},
        {"type": "revocation.token.revoked", "data": {"jti": "x", "exp": 0}},
        {"type": "revocation.token.revoked", "data": {"jti": "x", "exp": True}},
        {"type": "revocation.token.revoked", "data": {"jti": "x", "exp": 1.7e12}},
        {"type": "revocation.client.revoked", "data": {"client": "x", "disable": "no"}},
        *[
            {"type": "revocation.claims.revoked", "data": {"claims": claims}}
            for claims in (
                {},
                [],
                None,
                "device_id=d-1",
                {"device_id": None},
                {"device_id": ""},
                {"device_id": 5.5},
                {"device_id": 5.0},
                {"device_id": 2**53},
                {"device_id": "d" * 513},
                {"device_id": ["d-1"]},
                {"": "d-1"},
                {"d" * 257: "d-1"},
                dict.fromkeys("abcde", "x"),
            )
        ],
        {"type": "revocation.users.revoked", "data": {"users": []}},
        {"type": "revocation.users.revoked", "data": {"users": "alice"}},
        {"type": "revocation.users.revoked", "data": {"users": ["x"] * 1_001}},
    ],
)
def test_data_of_the_wrong_shape_is_refused(data):
    data["data"]["issuer"] = ISSUER
    with pytest.raises(InvalidEventError):
        events.decode(to_json(**data))


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"{", [("ce_specversion", b"1.0")]),
        (b"[" * 9_999, [("ce_specversion", b"1.0")]),
        (b'{"issuer": %s5%s}' % (b"[" * 500, b"]" * 500), [("ce_specversion", b"1.0")]),
        (b"{}", [("ce_specversion", None)]),
        (b"{}", [("ce_specversion", b"\xff")]),
        (b'5, "type": "x"', [("ce_specversion", b"1.0")]),
    ],
)
def test_binary_mode_that_breaks_the_contract_is_refused(value, headers):
    with pytest.raises(ContractError):
        events.decode(value, headers)


@given(
    st.none() | st.binary(max_size=60),
    st.lists(
        st.tuples(
            st.sampled_from(["ce_specversion", "ce_type", "ce_id", "content-type"]),
            st.none() | st.binary(max_size=30) | st.just(b"1.0"),
        )
    ),
)
def test_any_bytes_are_an_event_or_break_the_contract(value, headers):
    with contextlib.suppress(ContractError):
        events.decode(value, headers)


@given(
    st.dictionaries(st.sampled_from(list(LOGOUT)), json_values, max_size=2),
    st.dictionaries(st.sampled_from(["issuer", "user", "version"]), json_values),
)
def test_any_damage_leaves_an_event_or_breaks_the_contract(damage, data_damage):
    document = {**LOGOUT, "data": {**LOGOUT["data"], **data_damage}, **damage}
    for value in json.dumps(document).encode(), None:
        try:
            event = events.decode(value) if value else events.parse(document)
        except ContractError:
            continue
        assert events.decode(events.encode(event)) == event


@pytest.mark.parametrize(
    "value",
    [
        with_data(user=["secret-alice"]),
        with_data(version="secret-alice"),
        to_json(id=["secret-alice"]),
        to_json(type="secret-alice"),
        to_json()[:-1] + b', "secret-alice',
    ],
)
def test_an_error_never_quotes_what_was_sent(value):
    """It goes to logs and dead letters' headers, and so would an identifier."""
    with pytest.raises(ContractError) as caught:
        events.decode(value)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
