"""Events: what producers may send, in both modes; `test_schemas.py` has the files."""

import contextlib
import json
import traceback
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from revocation import events
from revocation.entries import Kind, Target
from revocation.errors import (
    ContractError,
    InvalidEventError,
    MalformedEventError,
    OversizedRecordError,
    UnknownEventTypeError,
)
from revocation.event_data import MAX_BULK_USERS
from revocation.topics import MAX_EVENT_BYTES
from tests.unit.strategies import ISSUER, any_event, ids, json_values

STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
LOGOUT = {
    "specversion": "1.0",
    "id": "event-1",
    "source": "/idp",
    "type": "revocation.user.logged_out",
    "data": {"issuer": ISSUER, "user": "alice"},
}


def to_json(**change):
    return json.dumps({**LOGOUT, **change}).encode()


def with_data(**change):
    return to_json(data={**LOGOUT["data"], **change})


def binary(event):
    """What a producer in binary mode sends: (value, headers)."""
    attributes = json.loads(events.encode(event))
    data = json.dumps(attributes.pop("data")).encode()
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    return data, [("content-type", b"application/json"), *headers]


@given(any_event())
def test_an_event_survives_structured_mode(event):
    assert events.decode(events.encode(event)) == event
    assert events.decode(events.encode(event), STRUCTURED) == event


@given(any_event())
def test_an_event_survives_binary_mode(event):
    assert events.decode(*binary(event)) == event


def test_header_names_are_read_in_any_case():
    value, headers = binary(events.decode(to_json()))
    shouted = [(name.upper(), raw) for name, raw in headers]
    assert events.decode(value, shouted).id == "event-1"


def test_the_content_type_decides_where_both_modes_are_claimed():
    """CloudEvents Kafka binding 1.0.2 section 3: structured by its media type."""
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"another"), *STRUCTURED]
    assert events.decode(to_json(), headers).id == "event-1"


def test_headers_that_are_no_envelope_are_ignored():
    headers = [("ce_traceparent", b"00-1-2-01"), ("rerouted-from", None)]
    assert events.decode(to_json(), headers).id == "event-1"


def test_every_type_has_its_model():
    assert len(events.EVENT_TYPES) == 13
    for name, model in events.EVENT_TYPES.items():
        assert model.model_fields["type"].default == name
        assert model.__doc__


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        (events.TokenRevoked, {"jti": "x"}, [(Kind.TOKEN, "x")]),
        (events.SessionEnded, {"sid": "x"}, [(Kind.SESSION, "x")]),
        (events.UserLoggedOut, {"user": "x"}, [(Kind.USER, "x")]),
        (events.UserCredentialsChanged, {"user": "x"}, [(Kind.USER, "x")]),
        (events.UserDisabled, {"user": "x"}, [(Kind.USER, "x")]),
        (events.UserEnabled, {"user": "x"}, [(Kind.USER, "x")]),
        (events.DataDeleted, {"user": "x"}, [(Kind.USER, "x")]),
        (events.DataDeleted, {"resource": "a:x"}, [(Kind.RESOURCE, "a:x")]),
        (
            events.GrantRevoked,
            {"user": "x|y", "client": "a|b%"},
            [(Kind.GRANT, "a%7Cb%25|x|y")],
        ),
        (events.ClientRevoked, {"client": "x"}, [(Kind.CLIENT, "x")]),
        (events.TenantRevoked, {"tenant": "x"}, [(Kind.TENANT, "x")]),
        (events.IssuerRevoked, {}, [(Kind.ISSUER, ISSUER)]),
        (events.KeyRevoked, {"kid": "x"}, [(Kind.KEY, "x")]),
        (
            events.UsersRevoked,
            {"users": ["x", "y", "x"]},
            [(Kind.USER, "x"), (Kind.USER, "y")],
        ),
    ],
)
def test_what_an_event_is_about(model, data, expected):
    event = model.new(source="/idp", issuer=ISSUER, **data)
    assert events.targets(event) == tuple(
        Target(kind, ISSUER, name) for kind, name in expected
    )


def test_a_tenant_beside_a_user_does_not_change_the_target():
    plain, within = (
        events.UserLoggedOut.new(
            source="/idp", issuer=ISSUER, user="alice", tenant=tenant
        )
        for tenant in (None, "acme")
    )
    assert events.targets(plain) == events.targets(within)


def test_a_newer_producers_attributes_and_members_are_ignored():
    event = events.decode(to_json(colour="blue", data={**LOGOUT["data"], "shape": 1}))
    assert events.decode(to_json()) == event


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
        (to_json(type="revocation.user.hugged"), UnknownEventTypeError, "known are"),
        (to_json(type=5), UnknownEventTypeError, "known are"),
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
    "time",
    [
        "2026-11-21T15:00:00Z",
        "2026-11-21t15:00:00.123456789z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_a_time_is_rfc_3339(time):
    assert events.decode(to_json(time=time)).time.tzinfo is not None


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


def test_a_producers_mistake_does_not_quote_the_user():
    with pytest.raises(ValidationError) as caught:
        events.UserLoggedOut.new(source="/idp", issuer="a b", user=["secret"])
    assert "data.user" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_lone_surrogate_is_refused_where_the_event_is_built():
    with pytest.raises(ValidationError):
        events.UserLoggedOut.new(source="/idp", issuer=ISSUER, user="\ud800")


def test_new_events_have_ids_of_their_own():
    one, other = (
        events.UserLoggedOut.new(source="/idp", issuer=ISSUER, user="alice")
        for _ in range(2)
    )
    assert uuid.UUID(one.id) != uuid.UUID(other.id)
    assert one.time is None


def test_a_new_events_time_keeps_its_instant():
    there = timezone(timedelta(hours=2))
    time = datetime(2026, 11, 21, 17, 0, tzinfo=there)
    event = events.UserLoggedOut.new(
        source="/idp", time=time, issuer=ISSUER, user="alice"
    )
    decoded = events.decode(events.encode(event))
    assert decoded.time == datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


def test_a_time_without_a_zone_is_refused():
    naive = datetime(2026, 11, 21, 15, 0)  # noqa: DTZ001 - the mistake in question
    with pytest.raises(ValidationError):
        events.UserLoggedOut.new(source="/", time=naive, issuer=ISSUER, user="alice")


def test_a_record_beyond_the_limit_is_refused_by_either_side():
    users = [f"{number:04}" + "x" * 300 for number in range(MAX_BULK_USERS)]
    event = events.UsersRevoked.new(source="/idp", issuer=ISSUER, users=users)
    with pytest.raises(OversizedRecordError, match="split bulk events"):
        events.encode(event)
    with pytest.raises(OversizedRecordError, match="split bulk events"):
        events.decode(to_json() + b" " * MAX_EVENT_BYTES)


def test_the_most_users_of_usual_ids_fit_into_one_event():
    users = [f"{number:04}" + "x" * 196 for number in range(MAX_BULK_USERS)]
    event = events.UsersRevoked.new(source="/idp", issuer=ISSUER, users=users)
    assert len(events.decode(events.encode(event)).data.users) == MAX_BULK_USERS


def test_a_document_is_parsed_as_a_record_would_be():
    assert events.parse(LOGOUT) == events.decode(to_json())
    with pytest.raises(UnknownEventTypeError):
        events.parse({**LOGOUT, "type": "?"})


@pytest.mark.parametrize("odd", [object(), 2**70, "\ud800", {1: 2}])
def test_a_document_that_is_not_json_is_refused(odd):
    with pytest.raises(MalformedEventError, match="no JSON document"):
        events.parse({**LOGOUT, "id": odd})


@given(
    st.lists(ids, min_size=1, max_size=9, unique=True),
    st.integers(1, 3),
    st.sampled_from(["bulk", "x" * 256]),
)
def test_a_split_bulk_event_names_each_user_once(users, size, event_id):
    event = events.UsersRevoked.new(source="/idp", issuer=ISSUER, users=users)
    event = event.model_copy(update={"id": event_id})
    groups = [users[start : start + size] for start in range(0, len(users), size)]
    parts = events.split_users(event, groups)
    assert parts == events.split_users(event, groups), "a retry has the same ids"
    assert len({part.id for part in parts}) == len(parts)
    decoded = [events.decode(events.encode(part)) for part in parts]
    assert [user for part in decoded for user in part.data.users] == users


def test_the_parts_of_a_bulk_event_show_their_origin():
    event = events.UsersRevoked.new(source="/idp", issuer=ISSUER, users=["a", "b"])
    parts = events.split_users(event, [["a"], ["b"]])
    assert [part.id for part in parts] == [f"{event.id}/0", f"{event.id}/1"]
