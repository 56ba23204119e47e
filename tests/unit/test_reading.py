"""How the authority reads events that violate the schemas slightly."""

import contextlib
import copy
import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given, strategies as st

from revocation import events
from revocation.errors import (
    ContractError,
    InvalidEventError,
    MalformedEventError,
    OversizedRecordError,
    TokenAsIdError,
    UnknownEventTypeError,
)
from revocation.events import lenient_reading
from revocation.topics import MAX_EVENT_BYTES
from tests.unit.strategies import ISSUER, any_event, json_values
from tests.unit.structured import LOGOUT, to_json, with_data
from tests.unit.tokens import mint

ESSENTIAL = {"type", "user", "resource", "disable"}
"""Optional to a schema, but what the event is about or asks for."""

JUNK = (
    json_values
    | st.floats()
    | st.text(st.characters(categories=["Cs", "Lu", "Cc"]), max_size=9)
)


def optional(model: type[events.CloudEvent]) -> set[tuple[str, ...]]:
    data = cast("Any", model.model_fields["data"].annotation).model_fields
    places = {(name,): field for name, field in model.model_fields.items()}
    places |= {("data", name): field for name, field in data.items()}
    return {place for place, field in places.items() if not field.is_required()}


@pytest.mark.parametrize("model", events.EVENT_TYPES.values(), ids=events.EVENT_TYPES)
def test_each_optional_member_is_droppable_or_essential(model):
    """A new member needs a decision: what does the event mean without it?"""
    for at in optional(model):
        is_droppable = at in lenient_reading.DROPPABLE
        assert is_droppable is (at[-1] not in ESSENTIAL), at


@given(any_event())
def test_what_is_as_it_should_be_is_read_as_it_is(event):
    assert lenient_reading.read(events.encode(event)) == lenient_reading.Reading(event)


@st.composite
def spoilt(draw):
    """An event as a document, junk in some of its optional members, and without them.

    The values are written by Python's `json`: NaN and lone surrogates are possible.
    """
    event = draw(any_event())
    sound = json.loads(events.encode(event))
    places = sorted(optional(type(event)) & lenient_reading.DROPPABLE)
    document, without = copy.deepcopy(sound), sound
    for place in draw(st.sets(st.sampled_from(places), min_size=1)):
        for each, value in ((document, draw(JUNK)), (without, None)):
            within = each if len(place) == 1 else each["data"]
            within[place[-1]] = value
    return document, without


@given(spoilt(), st.booleans())
def test_junk_in_optional_members_costs_no_revocation(both, ascii_only):
    """It says the same as without them, or with those that were no junk after all."""
    document, without = both
    text = json.dumps(document, ensure_ascii=ascii_only)
    event, left_out = lenient_reading.read(text.encode(errors="surrogatepass"))
    assert events.targets(event) == events.targets(events.parse(without))
    assert event.type == without["type"]
    for name in left_out:
        assert getattr(event, name, None) in (None, "application/json")
        assert getattr(event.data, name, None) is None


@pytest.mark.parametrize(
    ("value", "left_out"),
    [
        (to_json(time="Mon, 30 Nov 2026 04:00:00 GMT"), ("time",)),
        (to_json(time=1_796_012_230), ("time",)),
        (to_json(time="2026-11-21T15:00:00"), ("time",)),
        (to_json(time="2026-11-21T23:59:60Z"), ("time",)),
        (to_json(datacontenttype="text/xml"), ("datacontenttype",)),
        (to_json(traceparent=["00-1-2-01"]), ("traceparent",)),
        (with_data(version="7"), ("version",)),
        (with_data(version=0), ("version",)),
        (with_data(reason="x" * 1_025), ("reason",)),
        (with_data(reason="\ud800"), ("reason",)),
        (with_data(reason="caf?").replace(b"?", b"\xe9"), ("reason",)),
        (with_data(tenant=""), ("tenant",)),
        (with_data(tenant=mint()), ("tenant",)),
        (to_json(colour="\ud800"), ()),
        (
            to_json(time=5, data={**LOGOUT["data"], "version": 7.5, "reason": 1}),
            ("reason", "version", "time"),
        ),
    ],
)
def test_an_unreadable_optional_member_is_left_out(value, left_out):
    with pytest.raises(ContractError):
        events.decode(value)
    assert lenient_reading.read(value) == (events.parse(LOGOUT), left_out)


@pytest.mark.parametrize("exp", ["soon", 0, -1.5, 10**300, float("nan"), "Infinity"])
@pytest.mark.parametrize(
    ("type_", "name"),
    [("revocation.token.revoked", "jti"), ("revocation.session.ended", "sid")],
)
def test_without_a_readable_exp_the_longest_lifetime_counts(type_, name, exp):
    data = {"issuer": ISSUER, name: "x", "exp": exp}
    event, left_out = lenient_reading.read(to_json(type=type_, data=data))
    assert left_out == ("exp",)
    assert event.data.exp is None


def test_in_binary_mode_too():
    headers = [
        *(("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/idp")),
        *(("ce_type", LOGOUT["type"].encode()), ("ce_time", b"yesterday")),
    ]
    data = json.dumps({**LOGOUT["data"], "reason": "\ud800"}).encode()
    event, left_out = lenient_reading.read(data, iter(headers))
    assert left_out == ("reason", "time")
    assert event.data.user == "alice"
    with pytest.raises(MalformedEventError, match="binary mode"):
        lenient_reading.read(b'5, "type": "x"', headers)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, MalformedEventError),
        (b"[]", MalformedEventError),
        (b"{", MalformedEventError),
        (b'{"x": %s}' % (b"[" * 9_999), MalformedEventError),
        (b'{"x": "\\ud800", "y": %s}' % (b"[" * 250 + b"]" * 250), MalformedEventError),
        (b" " * (MAX_EVENT_BYTES + 1), OversizedRecordError),
        (to_json(type="\ud800"), UnknownEventTypeError),
        (to_json(time=5, type=7), UnknownEventTypeError),
        (to_json(time=5, id=""), InvalidEventError),
        (to_json(time=5, data="alice"), InvalidEventError),
        (to_json(id="\ud800"), InvalidEventError),
        (with_data(user="\ud800"), InvalidEventError),
        (with_data(user="?").replace(b"?", b"\xe9"), InvalidEventError),
        (with_data(user=mint(), reason=5), TokenAsIdError),
    ],
)
def test_what_an_event_needs_must_be_readable(value, error):
    with pytest.raises(error):
        lenient_reading.read(value)


@pytest.mark.parametrize(
    ("type_", "data", "problem"),
    [
        ("tenant.revoked", {"tenant": 5}, "data.tenant: "),
        ("client.revoked", {"client": "x", "disable": "yes"}, "data.disable: "),
        ("data.deleted", {"user": 5, "resource": "a:b"}, "data.user: "),
    ],
)
def test_essential_members_are_not_dropped(type_, data, problem):
    document = {"issuer": ISSUER, "reason": 5, **data}
    with pytest.raises(InvalidEventError, match=problem):
        lenient_reading.read(to_json(type=f"revocation.{type_}", data=document))


@given(st.none() | st.binary(max_size=60))
def test_any_bytes_are_read_or_break_the_contract(value):
    with contextlib.suppress(ContractError):
        lenient_reading.read(value)


FRAME = b"\0\0\0\x01\x02"


def test_a_registrys_frame_is_named():
    with pytest.raises(MalformedEventError, match=r"frame .*EVENTS_FRAMING=confluent"):
        lenient_reading.read(FRAME + to_json())


@pytest.mark.parametrize("value", [None, b"", b"{}", to_json()])
def test_a_registrys_frame_is_taken_off(value):
    assert lenient_reading.unframed(value) == value
    assert lenient_reading.unframed(FRAME + (value or b"")) == (value or b"")


def test_dates_round_up_to_whole_seconds():
    """A token is denied until no verifier accepts it, not a part of a second less."""
    for model, name in ((events.TokenRevoked, "jti"), (events.SessionEnded, "sid")):
        members = {"source": "/", "issuer": ISSUER, name: "x"}
        event = model.new(exp=1_796_012_230.52, **members)
        assert event.data.exp == 1_796_012_231
        assert json.loads(events.encode(event))["data"]["exp"] == 1_796_012_231
        assert model.new(exp=1_796_012_230.0, **members).data.exp == 1_796_012_230


@pytest.mark.parametrize("exp", [float("nan"), float("inf"), -1.5, 0.0, 1e300, True])
def test_what_is_no_date_is_refused_where_the_event_is_built(exp):
    with pytest.raises(ValueError, match=r"data\.exp"):
        events.TokenRevoked.new(source="/", issuer=ISSUER, jti="x", exp=exp)


def test_a_producer_gets_the_error_at_once():
    naive = datetime(2026, 11, 21, tzinfo=UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with pytest.raises(ValueError, match="RFC 3339"):
        events.UserLoggedOut.new(
            source="/", issuer=ISSUER, user="alice", time=cast("Any", naive)
        )
