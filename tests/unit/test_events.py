"""Events: what producers may send, in both modes; `test_schemas.py` has the files."""

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from revocation import events
from revocation.entries import Kind, Target
from revocation.errors import (
    MalformedEventError,
    OversizedRecordError,
    UnknownEventTypeError,
)
from revocation.events.event_data import MAX_BULK_USERS
from revocation.topics import MAX_EVENT_BYTES
from tests.unit.strategies import ISSUER, any_event, ids
from tests.unit.structured import LOGOUT, to_json

STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


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
    headers = [("ce_traceparent", b"00-1-2-01"), ("forwarded-from", None)]
    assert events.decode(to_json(), headers).id == "event-1"


def test_every_type_has_its_model():
    assert len(events.EVENT_TYPES) == 14
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
        (
            events.ClaimsRevoked,
            {"claims": {"b c": "x|y", "act.sub": 5, "a": True}},
            [(Kind.CLAIMS, "a=true&act.sub=5&b%20c=x%7Cy")],
        ),
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
    with pytest.raises(MalformedEventError, match="not a JSON document"):
        events.parse({**LOGOUT, "id": odd})


@given(st.lists(ids, min_size=2, max_size=9, unique=True), st.data())
def test_a_part_of_a_bulk_event_names_some_users_and_keeps_the_id(users, data):
    event = events.UsersRevoked.new(source="/idp", issuer=ISSUER, users=users)
    some = data.draw(st.lists(st.sampled_from(users), min_size=1, unique=True))
    part = events.decode(events.encode(events.about(event, some)))
    assert part.data.users == tuple(some)
    assert (part.id, part.source, part.type) == (event.id, event.source, event.type)
