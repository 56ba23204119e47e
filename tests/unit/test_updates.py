"""The records of the entries topic; `test_update_schema.py` has their schema."""

import contextlib
import json

import pytest
from hypothesis import given, strategies as st

from revocation.entries import Entry, Kind, Position, Status, Target, merge
from revocation.errors import MalformedUpdateError
from revocation.updates import (
    Update,
    decode_entry,
    decode_update,
    encode_entry,
    encode_update,
)
from tests.unit.strategies import (
    ISSUER,
    NOW,
    entries as any_entry,
    json_values,
    updates,
)

USER = Target(Kind.USER, ISSUER, "alice")
HERE = Position(3, 7, NOW)


@given(any_entry())
def test_an_entry_survives_its_encoding(entry):
    assert decode_entry(encode_entry(entry)) == entry


@given(updates())
def test_an_update_survives_its_encoding(update):
    assert decode_update(encode_update(update), 3) == update


def test_a_pulse_concludes_nothing_but_when_and_where():
    pulse = Update(HERE)
    assert json.loads(encode_update(pulse)) == {"offset": 7, "time": NOW}
    assert decode_update(encode_update(pulse), 3) == pulse


def test_defaults_are_left_out():
    assert json.loads(encode_entry(Entry(USER, HERE, version=2))) == {
        "kind": "user",
        "issuer": ISSUER,
        "id": "alice",
        "source": [3, 7, NOW],
        "version": 2,
    }


def test_an_update_from_nowhere_says_no_place():
    again = Update(entries=(Entry(USER, HERE, version=2),), forwarded=4)
    assert json.loads(encode_update(again)).keys() == {"entries", "forwarded"}
    assert decode_update(encode_update(again), 3) == again


def test_an_entry_from_before_statuses_had_a_time_has_that_of_its_source():
    """It says the status as of the source, whatever event of its partition set it."""
    older = {**WHOLE, "status_offset": 5}
    del older["status_time"], older["status_partition"], older["seen"]
    entry = decode_entry(json.dumps(older).encode())
    assert (entry.status_time, entry.status_partition) == (NOW, 3)
    del older["status"], older["status_offset"]
    entry = decode_entry(json.dumps(older).encode())
    assert (entry.status_time, entry.status_partition) == (0, -1)


def test_events_remembered_by_offset_are_older_than_any_by_time():
    older = decode_entry(json.dumps({**WHOLE, "recent": [[9_999, "aa"]]}).encode())
    newer = Entry(USER, HERE, recent=tuple((NOW, n, "bb") for n in range(8)))
    assert merge(older, newer).recent == newer.recent


def test_an_update_from_before_there_was_a_forwarded_topic_keeps_its_places():
    value = b'{"offset": 7, "time": 1, "rerouted": [[1, 55]]}'
    assert decode_update(value, 3) == Update(Position(3, 7, 1), rerouted=((1, 55),))


def test_a_status_is_never_left_out():
    """Not even one that says nowhere where it was set, which no ledger writes."""
    entry = Entry(USER, HERE, status=Status.DELETED)
    assert decode_entry(encode_entry(entry)) == entry


def test_members_of_a_newer_authority_are_ignored():
    value = json.dumps({"offset": 7, "time": NOW, "colour": "blue"}).encode()
    assert decode_update(value, 3) == Update(HERE)


WHOLE = {
    "kind": "user",
    "issuer": ISSUER,
    "id": "alice",
    "source": [3, 7, NOW],
    "version": 2,
    "not_before": NOW,
    "status": "disabled",
    "status_time": NOW,
    "status_partition": 3,
    "recent": [[NOW, 7, "aa"]],
    "seen": [[1, 5]],
}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "planet"},
        {"kind": ["user"]},
        {"issuer": 5},
        {"id": None},
        {"source": [3, 7]},
        {"source": [3, 7, 1.5]},
        {"source": [3, -1, NOW]},
        {"source": "abc"},
        {"version": True},
        {"version": -1},
        {"version": "2"},
        {"not_before": 1e400},
        {"expires_at": None},
        {"status": "away"},
        {"status_time": 1.0},
        {"status_time": -1},
        {"status_partition": -2},
        {"seen": [[1]]},
        {"seen": [[1, -1]]},
        {"seen": 5},
        {"recent": [[7]]},
        {"recent": [["7", "aa"]]},
        {"recent": [[7, 7.5, "aa"]]},
        {"recent": [[7, 7, 7, "aa"]]},
        {"recent": [[7, 8]]},
        {"recent": 5},
    ],
)
def test_what_no_authority_wrote_is_refused(change):
    entry = {**WHOLE, **change}
    with pytest.raises(MalformedUpdateError, match="only authorities may write"):
        decode_entry(json.dumps(entry).encode())
    update = {"offset": 7, "time": NOW, "entries": [entry]}
    with pytest.raises(MalformedUpdateError):
        decode_update(json.dumps(update).encode(), 3)


@pytest.mark.parametrize("missing", ["kind", "issuer", "id", "source"])
def test_an_entry_without_a_name_or_place_is_refused(missing):
    entry = {name: value for name, value in WHOLE.items() if name != missing}
    with pytest.raises(MalformedUpdateError, match=missing):
        decode_entry(json.dumps(entry).encode())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"{}",
        b'{"offset": 7}',
        b'{"offset": "7", "time": 1}',
        b'{"offset": true, "time": 1}',
        b'{"offset": -7, "time": 1}',
        b'{"offset": 7, "time": 1, "entries": 5}',
        b'{"offset": 7, "time": 1, "entries": ["a"]}',
        b'{"time": 1}',
        b'{"awaits": [[1, 2]]}',
        b'{"forwarded": -1}',
        b'{"forwarded": true}',
        *[
            b'{"offset": 7, "time": 1, "%s": %s}' % (name, places)
            for name in (b"awaits", b"rerouted")
            for places in (b"[[1]]", b'[[1, "2"]]', b"[[-1, 2]]")
        ],
    ],
)
def test_a_record_that_is_no_update_is_refused(value):
    with pytest.raises(MalformedUpdateError):
        decode_update(value, 3)


@given(st.binary(max_size=40))
def test_bytes_are_an_update_or_refused(value):
    with contextlib.suppress(MalformedUpdateError):
        decode_update(value, 3)


@given(st.dictionaries(st.sampled_from(list(WHOLE)), json_values, max_size=4))
def test_a_damaged_entry_is_an_entry_or_refused(damage):
    value = json.dumps({**WHOLE, **damage}).encode()
    try:
        entry = decode_entry(value)
    except MalformedUpdateError:
        return
    assert decode_entry(encode_entry(entry)) == entry
