"""The schema of the entries topic's records, which no model generates."""

import json

import pytest
from hypothesis import assume, given, settings

from revocation.entries import RECENT_EVENTS, Entry, Kind, Position, Status, Target
from revocation.errors import MalformedUpdateError
from revocation.updates import Update, decode_update, encode_update
from tests.unit.documents import holds_integral_float, mutated, validator
from tests.unit.strategies import updates

UPDATE = validator("update")


@settings(max_examples=100, deadline=None)
@given(updates())
def test_every_update_is_valid_and_comes_back(update):
    encoded = encode_update(update)

    UPDATE.validate(json.loads(encoded))
    assert decode_update(encoded, update.source.partition) == update


@settings(max_examples=150, deadline=None)
@given(updates().flatmap(lambda each: mutated([json.loads(encode_update(each))])))
def test_what_is_no_update_is_not_valid(document):
    assume(not holds_integral_float(document))
    try:
        decode_update(json.dumps(document).encode(), 0)
    except MalformedUpdateError:
        assert not UPDATE.is_valid(document)


FULL = Update(
    Position(0, 7, 1_795_273_445_000),
    (
        Entry(Target(Kind.TOKEN, "i", "t"), Position(0, 7, 1), expires_at=5),
        Entry(
            Target(Kind.USER, "i", "u"),
            Position(0, 7, 1),
            version=2,
            not_before=3,
            status=Status.DISABLED,
            status_time=1,
            status_partition=0,
            recent=((7, 1, "event"),),
            seen=((1, 9),),
        ),
    ),
    ((1, 9),),
    4,
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *[(path, None) for path in ("offset", "time", "entries/0/kind")],
        *[(path, -1) for path in ("offset", "time", "entries/0/expires_at")],
        *[(path, "7") for path in ("offset", "entries/1/version", "awaits/0/1")],
        *[(path, True) for path in ("time", "entries/1/not_before", "awaits/0/0")],
        *[(f"entries/{at}/source", [0, 7]) for at in (0, 1)],
        *[(f"entries/1/{name}", ...) for name in ("kind", "issuer", "id", "source")],
        *[(f"entries/1/{name}", ...) for name in ("status", "status_time")],
        ("entries/0/expires_at", ...),
        ("entries/0/kind", "user-agent"),
        ("entries/1/status", "suspended"),
        ("entries/1/recent", [[0, "e"]] * (RECENT_EVENTS + 1)),
        ("entries/1/recent", [["e", 0]]),
        ("entries", []),
        ("awaits", [[1]]),
        ("awaits", [[1, 2, 3]]),
        ("rerouted", [[1]]),
        ("forwarded", -1),
        ("time", ...),
        ("entries/1/seen", [[1]]),
        ("entries/1/status_partition", -1),
        ("entries/1/status_partition", ...),
    ],
)
def test_an_update_with_one_thing_wrong_is_not_valid(path, value):
    document = json.loads(encode_update(FULL))
    assert UPDATE.is_valid(document)
    within = document
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in way:
        within = within[step]
    if value is ...:
        del within[last]
    else:
        within[last] = value

    assert not UPDATE.is_valid(document)
